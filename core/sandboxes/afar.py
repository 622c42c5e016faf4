"""What every sandbox that shares no folder does the same way, whatever engine it speaks to.

How to use it (the engine's part is left to the sandbox):

    afar = Afar(order.folder)
    await afar.load(order)          # exchange.git, the freight, the claim; once or again
    ...start a container: python3 -I -S CARRIER FREIGHT, where CARRIER is `CARRIER.read_text()`
       (a file in there, or `-c TEXT`) and FREIGHT a file holding `afar.freight()`, `-` with it on
       standard input, or `env:NAME` with it in base64; environment BULLPEN_HOLDER: a name for
       this one container; the folders `afar.rooms()` must be writable in there...
    (whoever sets `idle_time` must end it after so long a silence: in there it is not known)
    with afar.mirror() as mirror:   # then follow the container's log from its beginning, or from
        mirror.begin()              # a second before `mirror.last_at`; on Gap from the beginning
        mirror.feed(chunk, from_start=True)
    end = await afar.settle(end)    # when the container is PROVEN to have ended: brings the
                                    # branch home, and writes exit.json

Reading, input and the end then work from the attempt's folder like the host's. Everything in the
folder is the bot's own: no agent can reach it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import Broken
from core.ports import Exit, Order
from core.sandboxes import carried, exchange, files
from core.sandboxes.attempt import Attempt
from core.sandboxes.endings import joined, told_of
from core.sandboxes.mirror import Mirror

CARRIER = Path(__file__).with_name("carrier.py")
LAUNCHER = Path(__file__).with_name("launcher.py")
PATIENCE = 600.0
"""Seconds for which the carrier waits for a Bullpen that can't be reached."""
WRAP_UP = 60.0
"""Seconds beside the grace that it has for bringing the work home when it is told to end."""
_IDENTITY = "[user]\n\tname = Bullpen agent\n\temail = agent@bullpen.invalid\n"


class Lost(Broken):
    """The attempt's folder was deleted, or what says what lies in it."""


@dataclass(frozen=True, slots=True)
class Afar:
    """One attempt, seen from this side."""

    folder: Path

    @property
    def attempt(self) -> Attempt:
        return Attempt(self.folder)

    async def load(self, order: Order) -> None:
        """Lay out all that travels. Raises Broken."""
        if (self.folder / "afar.json").exists():
            return
        if order.door is None or order.door.url is None:
            raise Broken("api.agents_url is not set: a place elsewhere finds no way back to us")
        self.attempt.prepare(order)
        code = await exchange.make(order.workspace, self.folder)
        code = code or exchange.Code("", "")
        freight = await asyncio.to_thread(_freight, order, code, order.door.url)
        packed = gzip.compress(json.dumps(freight).encode(), 6, mtime=0)
        facts = {
            "workspace": str(order.workspace),
            "branch": "" if order.number == 0 else code.branch,
            "log_cap": order.log_cap,
            "grace": order.grace,
            "idle_time": order.idle_time,
            "rooms": [str(room) for room in carried.rooms(order)],
        }
        files.write(self.folder / "freight", packed)
        files.write(self.folder / "afar.json", json.dumps(facts).encode())

    def freight(self) -> bytes:
        """What the carrier is given: gzipped JSON, with the attempt's token in it."""
        return (self.folder / "freight").read_bytes()

    def rooms(self) -> Sequence[str]:
        """The folders that must be writable over there."""
        return tuple(self.facts()["rooms"])

    def facts(self) -> dict[str, Any]:
        """What was noted of the order. Raises Lost, and Broken where it can't be read now."""
        path = self.folder / "afar.json"
        try:
            facts: dict[str, Any] = json.loads(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError) as error:
            raise Lost(f"{self.folder} holds no attempt any more") from error
        except OSError as error:
            raise Broken(f"{path} can't be read: {error.strerror}") from error
        return facts

    def lost(self) -> bool:
        """Whether its folder was deleted, by hand say: then nothing of it comes home any more, and
        only the engine knows whether it lives."""
        try:
            self.facts()
        except Lost:
            return True
        except Broken:
            return False
        return False

    @contextlib.contextmanager
    def mirror(self) -> Iterator[Mirror]:
        mirror = Mirror(self.folder, self.facts()["log_cap"])
        try:
            yield mirror
        finally:
            mirror.close()

    def told(self) -> Exit | None:
        """The end as the carrier has told it, if it has."""
        try:
            end = json.loads((self.folder / "end.json").read_bytes())["exit"]
            return told_of(end)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    async def settle(self, end: Exit) -> Exit:
        """It has ended over there, which is proven: bring the branch home and record the end.
        `end` is how, as far as the engine knows; what the carrier told goes before that. Where its
        folder is deleted the end is recorded nowhere."""
        recorded = self.attempt.end()
        if recorded is not None:
            return recorded
        told = self.told()
        if told is not None:
            end = joined(told, end)
        try:
            facts = self.facts()
        except Lost:
            end = _unheard(end)
            self.attempt.bury(end)
            return end
        try:
            await exchange.bring_back(self.folder, Path(facts["workspace"]), facts["branch"])
        except Broken as error:
            end = Exit(reason="gone", error=f"its work could not be brought back: {error}")
        end = _dated(end)
        self.attempt.bury(end)
        (self.folder / "freight").unlink(missing_ok=True)
        return end

    def waits(self) -> bool:
        """Whether a person is being asked, so that its silence means nothing."""
        with contextlib.suppress(OSError):
            return (self.folder / "waiting").stat().st_size > 0
        return False


def _unheard(end: Exit) -> Exit:
    """The end of one whose folder is lost."""
    if end.reason in (None, "gone"):
        end = Exit(
            reason="gone", error="its folder was deleted or spoilt: how it ended can't be told"
        )
    return _dated(end)


def _dated(end: Exit) -> Exit:
    return end if end.at else replace(end, at=time.time_ns() // 1_000_000)


def _freight(order: Order, code: exchange.Code, url: str) -> dict[str, Any]:
    """The order without its idle time: only here is it known whether a person is being asked."""
    door = order.door
    assert door is not None  # noqa: S101 - asked before
    by_name = {path.name: path for path in order.writable}
    remembers = by_name.get("memory")
    return {
        "api": url.rstrip("/"),
        "token": door.token,
        "git": f"{url.rstrip('/')}/git/{order.session_id}.git",
        "errand": order.number == 0,
        "patience": PATIENCE,
        "folder": str(order.folder.absolute()),
        "workspace": str(order.workspace),
        "folders": [str(path) for path in (*carried.homes(order), *order.writable)],
        "files": _files(order),
        "artifacts": str(by_name["artifacts"]) if "artifacts" in by_name else "",
        "memory": str(remembers / "MEMORY.md") if remembers else "",
        "message": "What was left uncommitted",
        "identity": _IDENTITY,
        "first_input": base64.b64encode(order.first_input).decode("ascii"),
        "input_open": order.input_open,
        "launcher": LAUNCHER.read_text("utf-8"),
        "order": {**json.loads((order.folder / "order.json").read_bytes()), "idle_time": None},
        **asdict(code),
    }


def _files(order: Order) -> list[dict[str, Any]]:
    """Raises Broken."""
    return [
        {
            "path": str(one.target),
            "data": base64.b64encode(one.data).decode("ascii"),
            "mode": 0o600 | (one.mode & 0o100),
        }
        for one in carried.laid_out(order)
    ]
