"""Known secrets in every form in which they might turn up."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus

SHORTEST = 4
"""Shorter values are no secrets to us: replacing them would tear words apart."""
_ENCODED_FROM = 8
_LINE_FROM = 16


def forms(secrets: Iterable[str]) -> tuple[str, ...]:
    """Every form of every secret, longest first."""
    found = {form for secret in secrets for form in _of(secret.strip())}
    return tuple(sorted((f for f in found if len(f) >= SHORTEST), key=lambda f: (-len(f), f)))


@lru_cache(maxsize=4096)
def _of(secret: str) -> tuple[str, ...]:
    """Made once: where one secret is renewed, all others are as before."""
    return tuple(_forms_of(secret))


def _forms_of(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    if len(secret) >= _ENCODED_FROM:
        yield quote(secret, safe="")
        yield quote_plus(secret)
        yield from _base64_forms(secret.encode())
    if "\n" in secret:
        yield from _lines(secret)


def _base64_forms(secret: bytes) -> Iterator[str]:
    """The characters that the secret alone decides, wherever in a longer value it stands
    (`user:secret` of Basic authentication, for one)."""
    for before in range(3):
        padded = bytes(before) + secret
        first = (before * 8 + 5) // 6
        last = len(padded) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(padded).decode()[first:last]


def _lines(secret: str) -> Iterator[str]:
    """A key of many lines is often logged line by line."""
    for line in map(str.strip, secret.splitlines()):
        if len(line) >= _LINE_FROM and not line.startswith("-----"):
            yield line
