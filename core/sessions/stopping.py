"""Ends a session's process: asked by its own means, then with the time that it has, or at once."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import structlog

from core.errors import Unreachable
from core.house import House
from core.model import AttemptState, SessionState
from core.ports import Exit
from core.sessions.inputs import send_owed
from core.sessions.tailer import Tailer
from core.store import inputs, sessions
from core.store.database import Tx
from core.waiting import left

log = structlog.get_logger(__name__)


async def end(house: House, tailer: Tailer, poked: asyncio.Event, asks: bool = True) -> Exit:
    """Interrupt it (where one `asks`), have it go, and give it its time, unless a person won't wait
    for it any more. `poked` says that the session's row is to be looked at again."""
    stop = partial(tailer.sandbox.stop, tailer.folder, tailer.handle)
    if asks and not await _is_forced(house, tailer):
        try:
            await _interrupt(house, tailer, poked)
        except Unreachable:
            raise
        except Exception:  # whatever it has written must not keep it alive
            log.exception("could not be asked to end", session=tailer.attempt.session_id)
    leaving = asyncio.ensure_future(stop())
    try:
        while not leaving.done():
            poked.clear()
            if await _is_forced(house, tailer):
                return await stop(force=True)
            await _either(poked, leaving)
        return leaving.result()
    finally:
        await left(leaving)


async def _interrupt(house: House, tailer: Tailer, poked: asyncio.Event) -> None:
    """Where its driver knows how: it may end its turn, say so, and go by itself."""
    patience = house.policy.interrupt
    data = tailer.driver.interrupt() if patience else None
    if data is None:
        return
    await tailer.take()  # a result that is there already counts
    if not await house.store.write(partial(_owe, tailer, data)):
        return
    queued = await house.store.write(partial(inputs.words_of, attempt=tailer.attempt))
    ended = asyncio.ensure_future(tailer.sandbox.ended(tailer.folder, tailer.handle))
    deadline = time.monotonic() + patience
    try:
        while not ended.done() and time.monotonic() < deadline:
            poked.clear()
            await send_owed(house, tailer)
            await asyncio.wait({ended}, timeout=house.policy.poll)
            await tailer.take()
            if tailer.finished:  # nothing more is asked of it: it may go
                await house.store.write(partial(end_input, tailer))
                if queued:  # it would begin with those now
                    return
            if await _is_forced(house, tailer):
                return
    finally:
        await left(ended)


def _owe(tailer: Tailer, data: bytes, tx: Tx) -> bool:
    """Once, and only to one that still listens to what is said in its own way."""
    attempt = sessions.get_attempt(tx, tailer.attempt.session_id)
    session = sessions.get(tx, attempt.session_id)
    if session.interactive or attempt.state is AttemptState.ENDED:
        return False
    if inputs.ended(tx, attempt):
        return False
    inputs.owe(tx, attempt.session_id, data)
    return True


def end_input(tailer: Tailer, tx: Tx) -> None:
    """Nothing more is said to it."""
    attempt = sessions.get_attempt(tx, tailer.attempt.session_id)
    if attempt.state is not AttemptState.ENDED and not inputs.ended(tx, attempt):
        inputs.owe(tx, attempt.session_id, b"", last=True)


async def _is_forced(house: House, tailer: Tailer) -> bool:
    """Or over: a person has said that it is gone."""
    session = await house.store.write(lambda tx: sessions.get(tx, tailer.attempt.session_id))
    return session.forced or session.state is SessionState.TERMINATED


async def _either(poked: asyncio.Event, leaving: asyncio.Future[Exit]) -> None:
    waiting = asyncio.ensure_future(poked.wait())
    try:
        reasons: set[asyncio.Future[Any]] = {waiting, leaving}
        await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
