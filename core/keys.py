"""What a person types at an agent's terminal: lines, and keys by their names."""

from __future__ import annotations

import re

from core.errors import Unclear

KEYS = {
    "esc": b"\x1b",
    "enter": b"\r",
    "tab": b"\t",
    "shift-tab": b"\x1b[Z",
    "space": b" ",
    "backspace": b"\x7f",
    "up": b"\x1b[A",
    "down": b"\x1b[B",
    "right": b"\x1b[C",
    "left": b"\x1b[D",
    **{f"ctrl-{chr(96 + code)}": bytes((code,)) for code in range(1, 27)},
}
_KEY = re.compile(r"<([a-z-]+)>", re.IGNORECASE)
_NAMES = {code: name for name, code in reversed(KEYS.items())}
_CODES = re.compile(b"|".join(re.escape(code) for code in sorted(_NAMES, key=len, reverse=True)))


def typed(text: str) -> bytes:
    """A line as it is typed at a terminal: with the key that ends it; or keys alone, by their
    names: `<esc>`, `<down> <enter>`, `<ctrl-c>`. Raises Unclear for a key that there isn't."""
    keys = [name.lower() for name in _KEY.findall(text)]
    if keys and not _KEY.sub("", text).strip():
        for name in keys:
            if name not in KEYS:
                raise Unclear(f"No key <{name}>. There are: <esc>, <enter>, <tab>, <up>, <ctrl-c>.")
        return b"".join(KEYS[name] for name in keys)
    return text.replace("\n", "\r").encode() + b"\r"


def told(data: bytes) -> str:
    """What was typed, as a person would say it: the line, or the names of the keys."""
    if not _CODES.sub(b"", data):
        return " ".join(f"<{_NAMES[code]}>" for code in _CODES.findall(data))
    return data.decode("utf-8", "replace").removesuffix("\r").replace("\r", "\n")
