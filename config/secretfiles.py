"""What may be a secret in a file of credentials, and in any other."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from config.credentials import SECRET_NAME

LARGEST, LARGEST_IN_FOLDER = 1 << 20, 64 << 10
"""Bytes of a file that is read for secrets: of one that is mounted itself, and of one in a mounted
folder, which may hold anything."""
LONGEST = 64 << 10
"""Characters of one value."""
MOST = 500
"""Values of one file that are all taken for secrets."""
_SHORTEST = 12
"""Characters of a value in a file that is taken for a secret: shorter ones are words."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_VALUE = re.compile(rf"""(?m)^(?:[^=:\n]*[=:])?+[ \t]*(\S{{{_SHORTEST},}})[ \t\r]*$""")
"""What stands behind the first `=` or `:`, or a line that is one word."""
_SETTING = re.compile(
    rf"""(?m)^([^=:\n]*)[=:][ \t]*["',;]*([\w+/=.~:@%!-]{{{_SHORTEST},}}?)["',;]*[ \t\r]*$"""
)
"""A name and its value, of signs that a key is made of, and most code is not."""


def read(path: Path, folder: bool) -> tuple[list[str], str | None]:
    """The values in it, each once, and what keeps it from being read whole. `folder`: it is one
    of a folder's files; then only what is named as a secret is one."""
    text, why = _text(path, LARGEST_IN_FOLDER if folder else LARGEST, follow=not folder)
    if folder:
        return _short(_named(text)), why
    found = _short(_values(text))
    if len(found) > MOST:
        why = f"holds more than {MOST} values: only those named as keys are known"
        return _short(_named(text)), why
    return found, why


def parts(value: str) -> list[str]:
    """The secrets within a value that is a whole file's: of several lines, or JSON."""
    whole = "\n" in value.strip() or value.lstrip()[:1] in ("{", "[")
    return _short(_values(value)) if whole else []


def _short(values: Iterable[str]) -> list[str]:
    return [value for value in dict.fromkeys(values) if len(value) <= LONGEST]


def _text(path: Path, largest: int, follow: bool) -> tuple[str, str | None]:
    """The file's text, and why it has none. Nothing but an ordinary file is waited for."""
    try:
        with open(os.open(path, _FLAGS | (0 if follow else os.O_NOFOLLOW)), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                return "", "is no ordinary file"
            held = b"" if facts.st_size > largest else file.read(largest + 1)
    except OSError as error:
        return "", f"can't be read: {error.strerror}"
    if facts.st_size > largest or len(held) > largest:
        return "", f"has more than {largest >> 20} MiB"
    try:
        return held.decode(), None
    except UnicodeDecodeError:
        return "", "is no text"


def _values(text: str) -> Iterable[str]:
    """All that may be a secret in a file of credentials."""
    if "PRIVATE KEY" in text and len(text) <= LONGEST:
        return [text]
    with suppress(ValueError, RecursionError):
        return [value for _, value in _texts(json.loads(text)) if _secret(value)]
    values = (found[1].strip("\"'") for found in _VALUE.finditer(text))
    return (value for value in values if len(value) >= _SHORTEST)


def _named(text: str) -> Iterable[str]:
    """The same where a file may hold anything: only what a name calls secret."""
    if "-----BEGIN" in text and "PRIVATE KEY-----" in text and len(text) <= LONGEST:
        return [text]
    if not SECRET_NAME.search(text):
        return []
    with suppress(ValueError, RecursionError):
        found = list(_texts(json.loads(text)))
        return [value for name, value in found if SECRET_NAME.search(name) and _secret(value)]
    return (found[2] for found in _SETTING.finditer(text) if SECRET_NAME.search(found[1]))


def _secret(value: str) -> bool:
    return len(value) >= _SHORTEST and not any(mark.isspace() for mark in value)


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Each text with the name that it stands under."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)
