"""An attempt's folder: what is ordered, who claimed it, its input, and how it ended.

Everything about an attempt can be found again from its folder. `launcher.py` is at its
other end and says what each file holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import Broken
from core.ports import Exit, Order
from core.sandboxes.procs import Identity, Signs

REVOKED = "revoked"
MARKER = "BULLPEN_ATTEMPT"


@dataclass(frozen=True, slots=True)
class Attempt:
    folder: Path

    @property
    def output(self) -> Path:
        return self.folder / "output"

    def prepare(self, order: Order) -> None:
        """Write down what to start. Raises Broken when the disk won't have it."""
        try:
            inputs = self.folder / "input"
            inputs.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.send(0, order.first_input, last=not order.input_open)
            with contextlib.suppress(FileExistsError):
                os.mkfifo(self.folder / "wake", 0o600)
            _replace(self.folder / "order.json", json.dumps(_written(order)).encode())
        except OSError as error:
            raise Broken(f"can't prepare {self.folder}: {error.strerror}") from error

    def send(self, number: int, data: bytes, last: bool) -> None:
        """Leave input for the launcher, once for a number. Raises OSError."""
        name = self.folder / "input" / f"{number:06d}"
        final = name.with_suffix(".last")
        if not name.exists() and not final.exists():
            _replace(final if last else name, data)

    def wake(self) -> None:
        """Tell the launcher to look at its input now."""
        with contextlib.suppress(OSError):  # nobody listens: it has ended, or will look
            fd = os.open(self.folder / "wake", os.O_WRONLY | os.O_NONBLOCK)
            try:
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
        try:
            os.symlink(REVOKED, self.folder / "claim")
        except FileExistsError:
            return self.claim() == REVOKED
        return True

    def handle(self) -> str | None:
        """The handle that the launcher has written, if it has."""
        with contextlib.suppress(Broken):  # a power cut may leave it empty; the claim will do
            value = self._json("handle.json")
            return None if value is None else json.dumps(value, separators=(",", ":"))
        return None

    def end(self) -> Exit | None:
        """How it ended, if it has."""
        value = self._json("exit.json")
        if value is None:
            return None
        return Exit(value["status"], value["signal"], value["reason"], value["error"], value["at"])

    def left(self) -> list[int]:
        """What could not be killed at the end, by pid."""
        return list((self._json("exit.json") or {}).get("left", ()))

    def bury(self, end: Exit) -> None:
        """Record an end that no launcher has told of. A full disk may keep it from lasting."""
        fields = ("status", "signal", "reason", "error", "at")
        value = {name: getattr(end, name) for name in fields} | {"dropped": 0, "left": []}
        with contextlib.suppress(OSError):
            _replace(self.folder / "exit.json", json.dumps(value).encode())

    def signs(self, launcher: Identity) -> Signs | None:
        """How to know this attempt's processes when its launcher is dead; None where the
        folder is gone."""
        order = self._json("order.json")
        if order is None:
            return None
        return Signs(order["seal"], f"{MARKER}={order['marker']}", launcher.start)

    def grace(self) -> float:
        """Seconds between TERM and KILL."""
        return float((self._json("order.json") or {"grace": 0})["grace"])

    def _json(self, name: str) -> dict[str, Any] | None:
        try:
            value: dict[str, Any] = json.loads((self.folder / name).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise Broken(f"{self.folder / name} can't be read: {error}") from error
        return value


def identity(handle: str) -> Identity:
    """The launcher that a handle names. Raises Broken for a handle of another kind."""
    try:
        value = json.loads(handle)
        return Identity(value["pid"], value["start"], value["boot"])
    except (ValueError, KeyError, TypeError) as error:
        raise Broken(f"{handle!r} is no handle of a process on this machine") from error


def claimant(claim: str) -> Identity:
    """The launcher that a claim names."""
    pid, start, boot = claim.split(":", 2)
    return Identity(int(pid), int(start), boot)


def handle_of(launcher: Identity) -> str:
    """A handle for a launcher that died before it could write its own."""
    value = {"boot": launcher.boot, "child": 0, "pid": launcher.pid, "start": launcher.start}
    return json.dumps(value, separators=(",", ":"))


def _written(order: Order) -> dict[str, Any]:
    marker = f"{order.session_id}/{order.number}"
    return {
        "argv": list(order.argv),
        "cwd": str(order.workspace),
        "env": {**order.env, MARKER: marker},
        "grace": order.grace,
        "log_cap": order.log_cap,
        "marker": marker,
        "output_limit": order.output_limit,
        "seal": _seal(f"{order.folder.absolute()} {marker}"),
        "wall_time": order.wall_time,
    }


def _seal(name: str) -> int:
    """A number of 19 digits for an attempt: from its name, so that preparing the same one
    again finds the same processes."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
    return (1 << 60) + (int.from_bytes(digest[:8], "big") >> 4)


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(data)
        os.rename(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
