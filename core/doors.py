"""The way back that each attempt gets: its token, and where it is answered.

A token is made from the data folder's key and the attempt's name, so that it need not be kept:
the row holds its hash, and it counts as long as its attempt has not ended.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from core.ports import Door

SOCKET = "door/api.sock"
"""Below the session's folder; the folder `door` is shown to its sandbox."""
LONGEST = 100
"""Characters of a socket's path: the system takes 107 bytes."""


async def _nothing(session_id: str) -> None:
    """Where no server listens."""


@dataclass(slots=True)
class Errand:
    """`holder`: who took its lease."""

    session_id: str
    folder: Path
    holder: str | None = None


@dataclass(slots=True)
class Doors:
    """`url`: the HTTP API on loopback, once it listens; `far_url`: the same as sandboxes on other
    machines reach it (`api.agents_url`). `open` makes a session's socket answer, again after a
    restart; `close` ends that. Both may be called more than once."""

    key: bytes
    url: str | None = None
    far_url: str | None = None
    open: Callable[[str], Awaitable[None]] = field(default=_nothing)
    close: Callable[[str], Awaitable[None]] = field(default=_nothing)
    errands: dict[str, Errand] = field(default_factory=dict, repr=False)
    """Those under way, by the hash of their token."""

    def token(self, session_id: str, number: int) -> str:
        name = f"attempt:{session_id}/{number}".encode()
        return "bpa_" + hmac.new(self.key, name, hashlib.sha256).hexdigest()

    def door(self, session_folder: Path, session_id: str, number: int, near: bool) -> Door:
        """`near`: its sandbox shares the session's folder."""
        socket = session_folder / SOCKET
        fits = near and len(str(socket).encode()) <= LONGEST
        url = self.url if near else self.far_url
        return Door(self.token(session_id, number), url, socket if fits else None)

    def errand(self, session_id: str, folder: Path) -> Door:
        """For a short command of ours in a place that shares no folder: it reaches its lease and
        `<folder>/exchange.git`, until `errand_over`. A restart of the bot ends it."""
        token = f"bpe_{secrets.token_hex(32)}"
        self.errands[hashed(token)] = Errand(session_id, folder)
        return Door(token, self.far_url)

    def errand_over(self, door: Door) -> None:
        self.errands.pop(hashed(door.token), None)


def hashed(token: str) -> str:
    """Of whatever bytes came as a token."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
