"""Ends a session's process: with the time that it has for that, or at once."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Any

from core.errors import BullpenError
from core.ports import Exit
from core.sessions.tailer import Tailer
from core.store import sessions
from core.store.database import Store, Tx


async def end(store: Store, tailer: Tailer, poked: asyncio.Event) -> Exit:
    """Ask it to go and give it its time, unless a person won't wait for it any more. `poked`
    says that the session's row is to be looked at again."""
    stop = partial(tailer.sandbox.stop, tailer.folder, tailer.handle)
    leaving = asyncio.ensure_future(stop())
    try:
        while not leaving.done():
            poked.clear()
            if await store.write(partial(_forced, tailer.attempt.session_id)):
                return await stop(force=True)
            await _either(poked, leaving)
        return leaving.result()
    finally:
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError, BullpenError):
            await leaving


def _forced(session_id: str, tx: Tx) -> bool:
    return sessions.get(tx, session_id).forced


async def _either(poked: asyncio.Event, leaving: asyncio.Future[Exit]) -> None:
    waiting = asyncio.ensure_future(poked.wait())
    try:
        reasons: set[asyncio.Future[Any]] = {waiting, leaving}
        await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
