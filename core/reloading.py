"""The configuration read anew while Bullpen runs: all of it or nothing, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core import crew, queue
from core.house import House
from core.model import Event
from core.setup import Configured
from core.store import settings
from core.store.crew import overrides
from core.store.database import Tx

MOST = 6
"""Names that one line tells."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What another reading changed, one line each. `restart`: keys that only a restart changes;
    `over`: what was changed by hand and counts before the files; `faults`: what of that doesn't
    fit them any more."""

    changes: tuple[str, ...]
    restart: tuple[str, ...]
    faults: tuple[str, ...]
    over: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """All of it for a person."""
        lines = [*self.changes] or ["Nothing in the files is other than before."]
        if self.restart:
            lines.append(f"Only after a restart: {', '.join(self.restart)}.")
        if self.over:
            lines.append("Changed by hand, and stronger than the files:")
            lines += [f"· {line}" for line in self.over]
        return (*lines, *(f"! {line}" for line in self.faults))


async def reload(house: House) -> Reloaded:
    """Read all files anew; from now on they count. What runs goes on. Raises BullpenError, a
    line for each fault, and then everything is as it was."""
    before = house.current.configured
    fresh = await before.again()
    counted = await crew.adopt(house, fresh)
    return Reloaded(
        tuple(_changes(before, fresh)),
        tuple(key for key, value in before.fixed.items() if fresh.fixed.get(key) != value),
        counted.faults,
        await house.store.write(lambda tx: tuple(by_hand(tx, house))),
    )


def tell(tx: Tx, reloaded: Reloaded, who: str) -> None:
    """Put it on record; whoever goes by the configuration hears of it."""
    words = f"The configuration was loaded anew by {who}"
    tx.emit(Event("settings.changed", words, payload={"changes": list(reloaded.changes)}))


def _changes(before: Configured, fresh: Configured) -> Iterator[str]:
    for part, now in fresh.parts.items():
        then = before.parts.get(part, {})
        found = [f"{name} is new" for name in now if name not in then]
        found += [f"{name} is gone" for name in then if name not in now]
        found += [
            f"{name} {_how(then[name], now[name])}"
            for name in now
            if name in then and then[name] != now[name]
        ]
        more = f" and {len(found) - MOST} more" if len(found) > MOST else ""
        if found:
            yield f"{part}: {', '.join(found[:MOST])}{more}."


def _how(then: object, now: object) -> str:
    plain = (bool, int, float, str, type(None))
    both = isinstance(then, plain) and isinstance(now, plain)
    short = both and len(words := f"{said(then)} → {said(now)}") < 40 and "\n" not in words
    return words if short else "changed"


def by_hand(tx: Tx, house: House) -> Iterator[str]:
    """What chat or API changed and files don't, with how to set it back."""
    configured = house.current.configured
    for name, row in overrides(tx).items():
        fields = ", ".join(sorted(row.changes))
        if row.own and name not in configured.setup.agents:
            yield f"{name} was registered by chat: /agent remove {name}"
        else:
            yield f"{name} ({fields}): /agent reset {name}"
    for key, changed in settings.changed(tx).items():
        usual = configured.settings.get(key)
        now = queue.load(tx, house.policy).paused if key == settings.PAUSED else changed.value
        if now != usual:
            yield f"{key} is {said(now)}, configured {said(usual)}: /set {key} default"


def said(value: object) -> str:
    """A setting's value as people type it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
