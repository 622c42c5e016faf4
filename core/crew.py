"""What counts now: the files, and over them what chat or API changed, until it is set back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from core.errors import Unclear
from core.house import House
from core.model import Agent, Event
from core.setup import Configured, Setup
from core.store import crew, settings
from core.store.crew import Override
from core.store.database import Tx
from core.store.settings import Changed

ANEW = ("agent.registered", "agent.status_changed", "settings.changed")
"""Events after which other agents or settings count."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What counts, and why some of what was changed by hand doesn't: one line each."""

    setup: Setup
    faults: tuple[str, ...] = ()


def follow(house: House) -> None:
    """See to it that each commit that changes agents or settings is seen at once: made ready in
    its transaction, adopted before anybody hears of it."""
    ready: list[tuple[Configured, Setup]] = []

    def prepare(tx: Tx) -> None:
        if any(event.type in ANEW for event in tx.events):
            configured = house.current.configured
            ready[:] = [(configured, counted(tx, configured).setup)]

    def adopt(events: Sequence[Event]) -> None:
        if any(event.type in ANEW for event in events):
            configured, setup = ready[0]
            if configured is house.current.configured:
                house.current.adopt(configured, setup)

    house.store.state.before_commit.append(prepare)
    house.store.state.listeners.insert(0, adopt)


async def adopt(house: House, configured: Configured) -> Counted:
    """From now on these files count, with what was changed by hand over them."""
    found = await house.store.write(lambda tx: counted(tx, configured))
    house.current.adopt(configured, found.setup)
    return found


def counted(tx: Tx, configured: Configured) -> Counted:
    """The files with what was changed by hand over them; what doesn't fit them any more is
    left out, and said."""
    faults: list[str] = []
    agents = _agents(configured, crew.overrides(tx), faults)
    policy = configured.policy(_settings(configured, settings.changed(tx), faults))
    return Counted(replace(configured.setup, agents=agents, policy=policy), tuple(faults))


def _agents(
    configured: Configured, changed: Mapping[str, Override], faults: list[str]
) -> dict[str, Agent]:
    found = dict(configured.setup.agents)
    for name, row in changed.items():
        if name not in found and not row.own:
            faults.append(f"{name} is in no file any more: what was changed by hand rests.")
            continue
        try:
            by = row.created_by if row.own else found[name].created_by
            found[name] = configured.agent(name, row.changes, by)
        except Unclear as error:
            hint = f"/agent reset {name}" if name in found else f"/agent remove {name}"
            why = "; ".join(str(error).splitlines())
            faults.append(f"{name}: what was changed by hand doesn't fit ({why}): {hint}")
    return found


def _settings(
    configured: Configured, changed: Mapping[str, Changed], faults: list[str]
) -> dict[str, object]:
    found = {}
    for key, row in changed.items():
        if key == settings.PAUSED:  # read where it is needed, with why
            continue
        try:
            found[key] = configured.checked(key, row.value)
        except Unclear as error:
            faults.append(f"{error}; as configured until /set {key} VALUE or /set {key} default")
    return found
