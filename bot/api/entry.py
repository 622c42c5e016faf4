"""One-time codes and the cookie that they turn into.

A code is a time and a random word under a key that only the data folder's owner can read,
so any process of the owner can make one, and the server remembers only which were used.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

CODE_LIFE = 600
COOKIE_LIFE = 30 * 86400
"""Seconds."""


def load_key(data: Path) -> bytes:
    """The data folder's own key, made with mode 0600 at the first use."""
    path = data / "api.key"
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(handle, "wb") as file:
        file.write(key := secrets.token_bytes(32))
    return key


def note_port(data: Path, port: int) -> None:
    """Leave the port where `bullpen open` finds it."""
    (data / "api.port").write_text(f"{port}\n", encoding="ascii")


def running_port(data: Path) -> int | None:
    """The port of the bot that was started last on this data; None when there was none."""
    try:
        return int((data / "api.port").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def make_code(key: bytes) -> str:
    return _signed(key, "code", f"{int(time.time())}-{secrets.token_hex(4)}")


def make_cookie(key: bytes) -> str:
    return _signed(key, "cookie", f"{int(time.time())}-{secrets.token_hex(8)}")


def valid_cookie(key: bytes, cookie: str) -> bool:
    return _age(key, "cookie", cookie) < COOKIE_LIFE


class Codes:
    """Which codes count: young, genuine, and not used before."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._used: dict[str, float] = {}

    def use(self, code: str) -> bool:
        now = time.time()
        self._used = {old: at for old, at in self._used.items() if now - at < CODE_LIFE}
        if _age(self._key, "code", code) >= CODE_LIFE or code in self._used:
            return False
        self._used[code] = now
        return True


def _signed(key: bytes, purpose: str, value: str) -> str:
    return f"{value}.{_seal(key, purpose, value)}"


def _seal(key: bytes, purpose: str, value: str) -> str:
    return hmac.new(key, f"{purpose}:{value}".encode(), hashlib.sha256).hexdigest()[:32]


def _age(key: bytes, purpose: str, text: str) -> float:
    """Seconds since it was made; infinite when it isn't genuine."""
    value, _, seal = text.rpartition(".")
    made = value.partition("-")[0]
    if not made.isdigit() or not hmac.compare_digest(
        seal.encode(), _seal(key, purpose, value).encode()
    ):
        return float("inf")
    return max(0.0, time.time() - int(made))
