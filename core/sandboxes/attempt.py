"""An attempt's folder: what is ordered, who claimed it, its input, and how it ended.

Everything about an attempt can be found again from its folder. `launcher.py` is at its
other end and says what each file holds. In a container an agent can write in there, and plant
links and fifos: what is read and written here follows no link.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import Broken
from core.ports import Exit, Order
from core.sandboxes import files, output
from core.sandboxes.endings import told_of
from core.sandboxes.procs import Identity, Signs

REVOKED = "revoked"
MARKER = "BULLPEN_ATTEMPT"
_NO_FILE = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM)
_ITS_OWN = (*_NO_FILE, errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY)
"""What goes wrong where an agent has put something, or taken it away."""
_MOST_PID, _LONGEST_HANDLE = 1 << 31, 1000
NOTES = frozenset({"size", "waiting"})


class Planted(Broken):
    """A file that the launcher can't have written, or that was closed to us."""


@dataclass(frozen=True, slots=True)
class Attempt:
    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / output.NAME

    def prepare(self, order: Order, walls: Sequence[str] = ()) -> None:
        """Write down what to start; `walls` is bubblewrap's part of the command line. Raises
        Broken when the disk won't have it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with files.opened(self.folder) as folder, contextlib.suppress(FileExistsError):
                os.mkdir("input", 0o700, dir_fd=folder)
            self._give(0, order.first_input, last=not order.input_open)
            with files.opened(self.folder) as folder:
                with contextlib.suppress(FileExistsError):
                    os.mkfifo("wake", 0o600, dir_fd=folder)
                files.replace(folder, "order.json", json.dumps(_written(order, walls)).encode())
        except OSError as error:
            raise Broken(f"can't prepare {self.folder}: {error.strerror}") from error

    def send(self, number: int, data: bytes, last: bool) -> None:
        """Leave input for the launcher, once for a number, and tell it. Raises Broken."""
        try:
            self._give(number, data, last)
        except OSError as error:
            raise Broken(f"can't give input to {self.folder}: {error.strerror}") from error
        self.wake()

    def _give(self, number: int, data: bytes, last: bool) -> None:
        name = f"{number:06d}"
        with files.opened(self.folder) as folder, files.opened("input", folder) as inputs:
            if not any(files.exists(inputs, found) for found in (name, f"{name}.last")):
                files.replace(inputs, f"{name}.last" if last else name, data)

    def note(self, name: str, text: str) -> None:
        """Leave word for the launcher, and tell it. An agent that keeps it from being there only
        harms itself. Raises Broken."""
        if name not in NOTES:
            raise Broken(f"`{name}` is nothing that an attempt can be told")
        try:
            with files.opened(self.folder) as folder:
                files.replace(folder, name, text.encode())
        except OSError as error:
            if error.errno in _ITS_OWN:
                return
            raise Broken(f"can't tell {self.folder} its {name}: {error.strerror}") from error
        self.wake()

    def wake(self) -> None:
        """Tell the launcher to look at its input and notes now."""
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # nobody listens: it has ended, or will look
            fd = os.open(self.folder / "wake", flags)
            try:
                if stat.S_ISFIFO(os.fstat(fd).st_mode):
                    os.write(fd, b"\n")
            finally:
                os.close(fd)

    def claim(self) -> str | None:
        """Who has taken the attempt: `REVOKED`, a launcher, or None while nobody has."""
        try:
            return os.readlink(self.folder / "claim")
        except OSError:
            return None

    def revoke(self) -> bool:
        """Take the claim, so that nothing ever starts here; False when it is taken."""
        claim = self.folder / "claim"
        try:
            files.reaching(claim, lambda: os.symlink(REVOKED, claim))
        except FileExistsError:
            return self.claim() == REVOKED
        return True

    def take(self, name: str) -> bool:
        """Claim it for who starts it elsewhere; False where it has been called off."""
        try:
            os.symlink(name, self.folder / "claim")
        except FileExistsError:
            return self.claim() == name
        return True

    def call_off(self) -> None:
        """What was claimed and is not there never will be."""
        new = self.folder / files.unguessed("claim")
        os.symlink(REVOKED, new)
        os.replace(new, self.folder / "claim")

    def forget(self) -> None:
        """Keep no more of the order than it takes to know what it left running: its environment
        holds keys. Raises Broken."""
        with contextlib.suppress(OSError), files.opened(self.folder) as folder:
            files.sweep(folder, "order.json")
        try:
            order = self._json("order.json", files.LARGEST)
        except Planted:
            order = {"env": {}}
        if order is None or "env" not in order:
            return
        kept = {name: order.get(name) for name in ("grace", "marker", "seal")}
        try:
            with files.opened(self.folder) as folder:
                files.replace(folder, "order.json", json.dumps(kept).encode())
        except OSError as error:
            raise Broken(f"{self.folder} can't be cleared: {error.strerror}") from error

    def handle(self) -> str | None:
        """The handle that the launcher has written, if it has."""
        # A power cut may leave it empty; the claim will do.
        with contextlib.suppress(Broken, ValueError, KeyError):
            if (value := self._json("handle.json")) is not None:
                launcher, child = _named(value), value.get("child")
                handle = handle_of(launcher, child if type(child) is int else 0)
                return handle if len(handle) < _LONGEST_HANDLE else None
        return None

    def end(self) -> Exit | None:
        """How it ended, if it has. What no launcher has written says nothing about that."""
        try:
            value = self._json("exit.json")
        except Planted as planted:
            return Exit(reason="gone", error=str(planted))
        if value is None:
            return None
        return told_of(value)

    def left(self) -> list[int]:
        """What could not be killed at the end, by pid."""
        left = None
        with contextlib.suppress(Planted):
            left = (self._json("exit.json") or {}).get("left")
        return [pid for pid in left if isinstance(pid, int)] if isinstance(left, list) else []

    def bury(self, end: Exit) -> None:
        """Record an end that no launcher has told of. A full disk may keep it from lasting."""
        fields = ("status", "signal", "reason", "error", "at")
        value = {name: getattr(end, name) for name in fields} | {"dropped": 0, "left": []}
        with contextlib.suppress(OSError), files.opened(self.folder) as folder:
            files.replace(folder, "exit.json", json.dumps(value).encode())

    def signs(self, launcher: Identity) -> Signs | None:
        """How to know this attempt's processes when its launcher is dead; None where nothing
        says so any more."""
        order = self._ordered()
        try:
            return Signs(int(order["seal"]), f"{MARKER}={order['marker']}", launcher.start)
        except (KeyError, TypeError, ValueError):
            return None

    def grace(self) -> float:
        """Seconds between TERM and KILL."""
        grace = self._ordered().get("grace")
        return float(grace) if isinstance(grace, (int, float)) and 0 <= grace < 1e6 else 0.0

    def _ordered(self) -> dict[str, Any]:
        """The order; nothing where it is not there, or not ours any more."""
        with contextlib.suppress(Planted):
            return self._json("order.json", files.LARGEST) or {}
        return {}

    def _json(self, name: str, most: int = files.SMALL) -> dict[str, Any] | None:
        """Walls keep an agent from an order, and from nothing else that is read here."""
        try:
            value = json.loads(files.content(self.folder / name, most))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, RecursionError) as error:
            raise Planted(f"{self.folder / name} is not the launcher's") from error
        except OSError as error:
            kind = Planted if error.errno in _NO_FILE else Broken
            raise kind(f"{self.folder / name} can't be read: {error.strerror}") from error
        if not isinstance(value, dict):
            raise Planted(f"{self.folder / name} is not the launcher's")
        return value


def identity(handle: str) -> Identity:
    """The launcher that a handle names. Raises Broken for a handle of another kind."""
    try:
        return _named(json.loads(handle))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Broken(f"{handle!r} is no handle of a process on this machine") from error


def _named(value: Mapping[str, Any]) -> Identity:
    """Raises ValueError, KeyError, TypeError."""
    return _identity(value["pid"], value["start"], value["boot"])


def _identity(pid: object, start: object, boot: object) -> Identity:
    """Raises ValueError for what no process can have."""
    if type(pid) is int and type(start) is int and 0 < pid < _MOST_PID and isinstance(boot, str):
        return Identity(pid, start, boot)
    raise ValueError(pid)


def claimant(claim: str) -> Identity:
    """The launcher that a claim names."""
    try:
        pid, start, boot = claim.split(":", 2)
        return _identity(int(pid), int(start), boot)
    except ValueError as error:
        raise Planted(f"{claim[:100]!r} names no process") from error


def handle_of(launcher: Identity, child: int = 0) -> str:
    """A handle; also for a launcher that died before it could write its own."""
    value = {"boot": launcher.boot, "child": child, "pid": launcher.pid, "start": launcher.start}
    return json.dumps(value, separators=(",", ":"))


def _written(order: Order, walls: Sequence[str]) -> dict[str, Any]:
    marker = f"{order.session_id}/{order.number}"
    return {
        "argv": list(order.argv),
        "cpu_time": order.cpu_time,
        "cwd": str(order.workspace),
        "env": {**order.env, MARKER: marker},
        "grace": order.grace,
        "idle_time": order.idle_time,
        "log_cap": order.log_cap,
        "marker": marker,
        "memory": order.memory,
        "output_limit": order.output_limit,
        "processes": order.processes,
        "pty": order.pty,
        "seal": _seal(f"{order.folder.absolute()} {marker}"),
        "wall_time": order.wall_time,
        "walls": list(walls),
    }


def _seal(name: str) -> int:
    """A number of 19 digits for an attempt: from its name, so that preparing the same one
    again finds the same processes."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return (1 << 60) + (int.from_bytes(digest[:8], "big") >> 4)
