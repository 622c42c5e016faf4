"""What is sent to us: read to a limit, within its time, and understood strictly."""

from __future__ import annotations

import asyncio
import tempfile
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from bot.api import faults

LARGEST = 1 << 20
"""Bytes of a body, where nothing else is said."""
PATIENCE = web.AppKey("patience", float)
"""Seconds that a body may take; one of an artifact four times as long."""
DEEPEST = 32
"""Levels of a body's JSON."""
LONGEST_WAIT = 60.0
"""Seconds that an answer may be waited for."""

T = TypeVar("T")


async def json_of(request: web.Request, kind: type[T]) -> T:
    """The body as that struct; an unknown key is refused by its name."""
    data = await whole(request, LARGEST)
    try:
        value = msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise faults.invalid(f"The body can't be read: {error}.") from None
    except RecursionError:
        raise faults.invalid(f"The body is nested deeper than {DEEPEST} levels.") from None
    return value


def shallow(value: Any) -> None:
    """Raises where it is nested deeper than DEEPEST; what is asked here is never that deep."""
    level = [value]
    for _ in range(DEEPEST):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner.extend(one.values())
            elif isinstance(one, list):
                inner.extend(one)
        if not inner:
            return
        level = inner
    raise faults.invalid(f"The body is nested deeper than {DEEPEST} levels.")


async def whole(request: web.Request, most: int) -> bytes:
    """All of the body. Raises ApiError where it is too large, too slow or packed."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise faults.invalid("The body is to be sent as it is, not packed.", 415)
    if (request.content_length or 0) > most:
        raise too_large(most)
    patience = request.app[PATIENCE]
    # What comes slowly, or stops coming, waits on the disk and not in memory.
    with tempfile.SpooledTemporaryFile(LARGEST) as data:
        try:
            async with asyncio.timeout(patience if most <= LARGEST else 4 * patience):
                async for chunk in request.content.iter_any():
                    data.write(chunk)
                    if data.tell() > most:
                        raise too_large(most)
        except TimeoutError:
            raise faults.invalid("The body took too long to come.", 408) from None
        data.seek(0)
        return data.read()


def too_large(most: int) -> faults.ApiError:
    return faults.invalid(f"The body is larger than {most >> 20} MB.", 413)


def number(request: web.Request, name: str, default: int = 0) -> int:
    """A number from 0 on, of the address's query."""
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise faults.invalid(f"`{name}` is a number from 0 on.")
    return int(text)


def wait(request: web.Request) -> float:
    """Seconds that the answer may be waited for."""
    return min(float(number(request, "wait")), LONGEST_WAIT)
