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
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from core.errors import Broken
from core.ports import Exit, Order
from core.sandboxes import exchange, files
from core.sandboxes.attempt import Attempt
from core.sandboxes.endings import joined, told_of
from core.sandboxes.mirror import Mirror

CARRIER = Path(__file__).with_name("carrier.py")
LAUNCHER = Path(__file__).with_name("launcher.py")
PATIENCE = 600.0
"""Seconds for which the carrier waits for a Bullpen that can't be reached."""
WRAP_UP = 60.0
"""Seconds beside the grace that it has for bringing the work home when it is told to end."""
MOST_FILE, MOST_FILES = 1 << 20, 8 << 20
"""Bytes that are carried along: of one file, and of all."""
DEEPEST = 100
"""Folders within each other that are looked into."""
_IDENTITY = "[user]\n\tname = Bullpen agent\n\temail = agent@bullpen.invalid\n"


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
            "rooms": [str(room) for room in rooms(order)],
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
        """What was noted of the order. Raises Broken where the folder is gone."""
        try:
            facts: dict[str, Any] = json.loads((self.folder / "afar.json").read_bytes())
        except (OSError, ValueError) as error:
            raise Broken(f"{self.folder} holds no attempt any more") from error
        return facts

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
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    async def settle(self, end: Exit) -> Exit:
        """It has ended over there, which is proven: bring the branch home and record the end.
        `end` is how, as far as the engine knows; what the carrier told goes before that."""
        recorded = self.attempt.end()
        if recorded is not None:
            return recorded
        told = self.told()
        if told is not None:
            end = joined(told, end)
        facts = self.facts()
        try:
            await exchange.bring_back(self.folder, Path(facts["workspace"]), facts["branch"])
        except Broken as error:
            end = Exit(reason="gone", error=f"its work could not be brought back: {error}")
        end = end if end.at else replace(end, at=time.time_ns() // 1_000_000)
        self.attempt.bury(end)
        (self.folder / "freight").unlink(missing_ok=True)
        return end

    def waits(self) -> bool:
        """Whether a person is being asked, so that its silence means nothing."""
        with contextlib.suppress(OSError):
            return (self.folder / "waiting").stat().st_size > 0
        return False


def rooms(order: Order) -> list[Path]:
    """The folders that must be writable, none of them within another. Of a workspace the one
    above: git wants to own the folder that it works in."""
    home = order.env.get("HOME")
    wanted = [*_homes(order), order.workspace.parent, *order.writable]
    wanted += [Path(home)] if home and Path(home).is_absolute() else []
    found: list[Path] = []
    for path in sorted({path.absolute() for path in wanted}, key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(room) for room in found):
            found.append(path)
    return found


def _homes(order: Order) -> list[Path]:
    """The session's folder where the attempt lies in one, else the attempt's."""
    above = [path for path in order.folder.parents if path.name == order.session_id]
    return [above[0] if above else order.folder]


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
        "folders": [str(path) for path in (*_homes(order), *order.writable)],
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
    """What the bot has laid out for this agent: its HOME, its artifacts, its prompts, and its
    credentials. Raises Broken for more than can be carried."""
    found: dict[Path, Path] = {}
    for folder in (path for path in order.writable if path.name != "memory"):
        found |= {path: path for path in _plain(folder)}
    for folder in _homes(order):
        found |= {path: path for path in folder.glob("*.md") if path.is_file()}
    found |= {path: path for path in order.readable if path.is_file() and _ours(path, order)}
    elsewhere = {target for target, _ in outside(order)}
    for target, source in mounted(order):
        if target not in elsewhere:
            found[target] = source
    roots = [*_homes(order), *order.writable, *(mount.source for mount in order.mounts)]
    carried, size = [], 0
    for target, source in sorted(found.items()):
        data, mode = _content(source, roots)
        size += len(data)
        if size > MOST_FILES:
            raise Broken(f"more than {MOST_FILES >> 20} MB of files would have to be carried along")
        text = base64.b64encode(data).decode("ascii")
        carried.append({"path": str(target), "data": text, "mode": 0o600 | (mode & 0o100)})
    return carried


def mounted(order: Order) -> Iterator[tuple[Path, Path]]:
    """The files of its mounts: where each is seen over there, and where it lies here."""
    home = Path(order.env.get("HOME", "/root"))
    for mount in order.mounts:
        inside = mount.target
        target = home / inside[2:] if inside.startswith("~/") else Path(inside)
        if mount.source.is_dir():
            yield from ((target / path.relative_to(mount.source), path)
                        for path in _plain(mount.source))  # fmt: skip
        else:
            yield target, mount.source


def outside(order: Order) -> list[tuple[Path, Path]]:
    """Those of its mounts that the carrier can't lay out, since nothing can be written there: the
    engine has to show them."""
    places = rooms(order)
    return sorted(
        (target, source)
        for target, source in mounted(order)
        if not any(target.is_relative_to(room) for room in places)
    )


def _ours(path: Path, order: Order) -> bool:
    return any(path.is_relative_to(home) for home in _homes(order))


def _plain(folder: Path) -> Iterator[Path]:
    """Raises Broken where an agent has nested folders without end."""
    for above, _, names in os.walk(folder):
        if above.count("/") > str(folder).count("/") + DEEPEST:
            raise Broken(f"{folder} holds folders nested too deep to be carried along")
        for name in names:
            path = Path(above, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _content(path: Path, roots: Sequence[Path]) -> tuple[bytes, int]:
    """What a file holds, and its mode. Below one of `roots` an agent may have been at work, and no
    link is followed; elsewhere it is the user's own. Raises Broken, also for what is no file."""
    root = min((root for root in roots if root in path.parents), default=None)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        with contextlib.ExitStack() as folders:
            within = None
            if root is not None:
                flags |= os.O_NOFOLLOW
                within = folders.enter_context(files.opened(root.resolve()))
                for part in path.relative_to(root).parts[:-1]:
                    within = folders.enter_context(files.opened(part, within))
            fd = os.open(path if within is None else path.name, flags, dir_fd=within)
            with open(fd, "rb") as file:
                facts = os.fstat(fd)
                if not stat.S_ISREG(facts.st_mode):
                    raise Broken(f"{path} can't be read: it is no file")
                data = file.read(MOST_FILE + 1)
    except OSError as error:
        raise Broken(f"{path} can't be read: {error.strerror}") from error
    if len(data) > MOST_FILE:
        raise Broken(f"{path} is larger than {MOST_FILE >> 20} MB: too much to carry along")
    return data, facts.st_mode
