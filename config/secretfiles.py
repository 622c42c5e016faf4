"""What may be a secret in a file of credentials, and in any other."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from config.credentials import IN_ADDRESS, SECRET_NAME, SETTING

LARGEST, LARGEST_IN_FOLDER = 1 << 20, 64 << 10
"""Bytes of a file that is read for secrets: of one that is mounted itself, and of one in a mounted
folder, which may hold anything."""
_WHOLE = 256 << 10
"""Characters of a mounted file each word of which is looked at."""
LONGEST = 64 << 10
"""Characters of one value."""
MOST = 500
"""Values of one file that are all taken for secrets."""
_SHORTEST = 12
"""Characters of a value in a file that is taken for a secret: shorter ones are words."""
_LEAST = 4
"""And of one that a name calls so."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_VALUE = re.compile(rf"""^(?:[^=:\n]*[=:])?+[ \t]*(\S{{{_SHORTEST},}})[ \t\r]*$""")
"""What stands behind the first `=` or `:`, or a line that is one word."""
_SETTING = re.compile(
    rf"""(?m)^([^=:\n]*)[=:][ \t]*["',;]*([\w+/=.~:@%!-]{{{_LEAST},}}?)["',;]*[ \t\r]*$"""
)
"""A name and its value, of signs that a key is made of, and most code is not."""
_WORD = re.compile(r""""[^"]*"|'[^']*'|[^\s=:"',;]+""")
_SPACE = re.compile(r"\s")
_MIXED = re.compile(r"(?=.*[A-Za-z])(?=.*\d)[\w+/=.~!@%-]+")


def read(path: Path, folder: bool) -> tuple[list[str], str | None]:
    """The values in it, each once, and what keeps it from being read whole. `folder`: it is one
    of a folder's files; then only what is named as a secret is one."""
    text, why = _text(path, LARGEST_IN_FOLDER if folder else LARGEST, follow=not folder)
    if folder:
        return _short(_named(text)), why
    if len(text) > _WHOLE:
        why = f"has more than {_WHOLE >> 10} KiB: only what is named as a key is known of it"
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
        return [value for found in _texts(json.loads(text)) for value in _of_json(*found)]
    return (value for line in text.splitlines() for value in _of_line(line))


def _of_json(name: str, value: str) -> Iterator[str]:
    if _secret(value) or (SECRET_NAME.search(name) and _is_value(value)):
        yield value
        yield from _halves(value)
    yield from IN_ADDRESS.findall(value)


def _of_line(line: str) -> Iterator[str]:
    """What stands behind the first `=` or `:`, or is all of it; what follows a name that speaks
    of a secret, as in .netrc, .npmrc, YAML and INI; the password in an address, and in .pgpass."""
    for found in _VALUE.finditer(line):
        if _secret(value := found[1].strip("\"'")):
            yield value
    words = [word.strip("\"'") for word in _WORD.findall(line)]
    for name, value, more in zip(words, words[1:], [*words[2:], ""], strict=False):
        if SECRET_NAME.search(name):
            yield from (one for one in _named_value(value, more) if _is_value(one))
    yield from IN_ADDRESS.findall(line)
    fields = line.strip().split(":")
    if len(fields) == 5 and _is_value(fields[4]) and not _SPACE.search(fields[4]):
        yield fields[4]


def _named_value(value: str, more: str) -> Iterator[str]:
    """The value that follows a name, where its kind may stand before it: `Basic dXNlcjpwdw==`."""
    found = more if value.lower() in ("basic", "bearer", "token") else value
    yield found
    yield from _halves(found)


def _halves(value: str) -> Iterator[str]:
    """What follows the user in the packed form of both: Docker's `auth`, HTTP's Basic."""
    with suppress(ValueError):
        user, sign, password = base64.b64decode(value, validate=True).decode().partition(":")
        if sign and user.isprintable() and password.isprintable() and _is_value(password):
            yield password


def _is_value(value: str) -> bool:
    """Whether what a name calls secret is one: no other name, and no switch."""
    plain = value.isalpha() and SECRET_NAME.search(value)
    return len(value) >= _LEAST and not plain and not SETTING.fullmatch(value)


def _named(text: str) -> Iterable[str]:
    """The same where a file may hold anything: only what a name calls secret, and what looks
    like one; `token = response` is code."""
    if "-----BEGIN" in text and "PRIVATE KEY-----" in text and len(text) <= LONGEST:
        return [text]
    if not SECRET_NAME.search(text):
        return []
    with suppress(ValueError, RecursionError):
        found = list(_texts(json.loads(text)))
        return [value for name, value in found if SECRET_NAME.search(name) and _mixed(value)]
    return (
        found[2]
        for found in _SETTING.finditer(text)
        if SECRET_NAME.search(found[1]) and _mixed(found[2])
    )


def _mixed(value: str) -> bool:
    return _secret(value) or (_is_value(value) and bool(_MIXED.fullmatch(value)))


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
