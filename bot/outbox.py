"""Deliveries → faces: in order, at the platform's pace, through floods, outages and restarts.

Everything is read from the table and written back to it, so a restart goes on where the
last process stopped. A chat has at most one delivery on its way; a chat that is slow,
flooded or gone holds up no other. An answer that was lost may repeat one post; an edit
repeats harmlessly.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from bot.pacing import PACES, UNPACED, Pace, Pacer
from core.commands.reply import Attachment, Button, Reply, Table
from core.errors import Broken, BullpenError, ChatGone, Flooded, MessageGone, Refused
from core.killpoints import kill_point
from core.ports import Clock, Face
from core.store import deliveries
from core.store.database import Store
from core.store.deliveries import Attempt
from core.waiting import woken

log = logging.getLogger(__name__)
Redact = Callable[[str], str]

AT_ONCE = 8
"""How many sends to one platform may be under way."""
SAFETY = 30.0
"""Seconds after which the table is looked at although nobody called."""
BUG_TRIES = 5
"""A delivery on which our own code fails is given up after so many tries."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds to wait after the first failure, doubled each time up to `most`. `trouble`:
    how long a chat rests when the database can't be written; `wind_down`: how long a send
    under way may still take when the outbox ends."""

    first: float = 1.0
    most: float = 60.0
    trouble: float = 5.0
    wind_down: float = 1.0

    def after(self, tries: int) -> float:
        return min(self.most, self.first * 2.0 ** min(max(tries - 1, 0), 30))


@runtime_checkable
class Splitting(Protocol):
    """A face whose platform takes a long reply, or its files, only in several messages."""

    def pieces(self, reply: Reply) -> Sequence[Reply]:
        """The replies it takes, each one message; the first is the one to edit later."""


class Outbox:
    """One worker a platform. `run()` until cancelled; `wake()` after each commit that owes
    something."""

    def __init__(
        self,
        store: Store,
        faces: Mapping[str, Face],
        clock: Clock,
        *,
        redact: Redact = str,
        paces: Mapping[str, Pace] = PACES,
        backoff: Backoff | None = None,
    ) -> None:
        backoff = backoff or Backoff()
        self._lanes = [
            _Lane(store, face, clock, redact, Pacer(paces.get(platform, UNPACED)), backoff)
            for platform, face in faces.items()
        ]

    async def run(self) -> None:
        """Deliver until cancelled. A send that is under way then gets a moment to end."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes:
                group.create_task(lane.run(), name=f"outbox-{lane.platform}")

    def wake(self) -> None:
        """Something new is owed. Call it from the loop's thread."""
        for lane in self._lanes:
            lane.wake()

    async def settled(self) -> None:
        """Returns when nothing is left that can be sent now; what has to wait for a platform
        is no reason to stay. Needs `run()` under way."""
        self.wake()
        for lane in self._lanes:
            await lane.quiet.wait()


class _Lane:
    """The way out to one platform."""

    def __init__(
        self, store: Store, face: Face, clock: Clock, redact: Redact, pacer: Pacer, backoff: Backoff
    ) -> None:
        self.platform = face.platform
        self.quiet = asyncio.Event()
        self._store = store
        self._face = face
        self._clock = clock
        self._redact = redact
        self._pacer = pacer
        self._backoff = backoff
        self._woken = asyncio.Event()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._chats: dict[str, asyncio.Task[None]] = {}
        self._sending: set[str] = set()
        self._standing = _Standing()

    def wake(self) -> None:
        self.quiet.clear()
        self._woken.set()

    async def run(self) -> None:
        try:
            while True:
                self._woken.clear()
                delay = await self._turn()
                await woken(self._woken, delay)
        finally:
            await self._wind_down()

    async def _turn(self) -> float:
        """Start what can go now; returns the seconds until the next turn."""
        try:
            chats = await deliveries.waiting(self._store, self.platform)
        except Broken as error:
            log.error("The outbox can't read what is owed: %s", error)
            return self._backoff.trouble
        now = self._clock.now()
        for chat in chats:
            if chat.not_before <= now and chat.chat not in self._chats:
                self._chats[chat.chat] = asyncio.create_task(self._serve(chat.chat))
        if not self._chats and not self._woken.is_set():
            self.quiet.set()
        pauses = [(chat.not_before - now) / 1000 for chat in chats if chat.not_before > now]
        return min([SAFETY, *pauses])

    async def _serve(self, chat: str) -> None:
        """One delivery to one chat, once its pace allows."""
        try:
            await self._pacer.turn(chat)
            async with self._slots:
                self._sending.add(chat)
                await self._deliver(chat)
        except Broken as error:
            log.error("The outbox can't note what it sent: %s", error)
            await asyncio.sleep(self._backoff.trouble)
        finally:
            self._sending.discard(chat)
            self._chats.pop(chat, None)
            self._woken.set()

    async def _wind_down(self) -> None:
        for chat, task in list(self._chats.items()):
            if chat not in self._sending:
                task.cancel()
        tasks = list(self._chats.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._backoff.wind_down)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _deliver(self, chat: str) -> None:
        attempt = await self._store.write(lambda tx: deliveries.begin(tx, self.platform, chat))
        if attempt is None:
            return
        try:
            await self._send(attempt)
        except ChatGone:
            await self._store.write(lambda tx: deliveries.drop_chat(tx, self.platform, chat))
        except Flooded as error:
            await self._put_off(attempt, error.retry_after, f"flooded: {error}")
        except Refused as error:
            await self._drop(attempt, f"refused: {error}")
        except BullpenError as error:
            await self._put_off(attempt, self._backoff.after(attempt.tries), str(error))
        except Exception as error:  # a bug of a face must not hold the other messages up
            log.exception("Delivery %d could not be rendered or sent", attempt.seq)
            await self._fumbled(attempt, error)

    async def _send(self, attempt: Attempt) -> None:
        reply = redacted(attempt.reply, self._redact)
        message, rest = await self._place(attempt, reply)
        kill_point("after-post")
        await self._store.write(
            lambda tx: deliveries.sent(tx, attempt.seq, message, attempt.reply.buttons, rest)
        )
        self._standing.put(attempt.chat, message, reply)

    async def _place(self, attempt: Attempt, reply: Reply) -> tuple[str, Sequence[Reply]]:
        """Edit what stands there, or post; returns the message and what it couldn't hold."""
        if attempt.message is not None:
            if self._standing.shows(attempt.chat, attempt.message, reply):
                return attempt.message, ()
            try:
                await self._face.edit(attempt.chat, attempt.message, reply)
                return attempt.message, ()
            except MessageGone:
                await self._forget(attempt.chat, attempt.message)
        main, *rest = self._pieces(reply)
        message = await self._face.post(
            attempt.chat, main, silent=attempt.silent, reply_to=attempt.reply_to
        )
        return message, rest

    def _pieces(self, reply: Reply) -> Sequence[Reply]:
        return self._face.pieces(reply) if isinstance(self._face, Splitting) else (reply,)

    async def _forget(self, chat: str, message: str) -> None:
        await self._store.write(lambda tx: deliveries.forget(tx, self.platform, chat, message))

    async def _put_off(self, attempt: Attempt, seconds: float, note: str) -> None:
        until = self._clock.now() + max(1, int(seconds * 1000))
        log.info("Delivery %d waits %.0f s: %s", attempt.seq, seconds, note)
        await self._store.write(lambda tx: deliveries.put_off(tx, attempt.seq, until, note))

    async def _drop(self, attempt: Attempt, note: str) -> None:
        log.error("Delivery %d to %s is dropped: %s", attempt.seq, attempt.chat, note)
        await self._store.write(lambda tx: deliveries.drop(tx, attempt.seq, note))

    async def _fumbled(self, attempt: Attempt, error: Exception) -> None:
        note = f"{type(error).__name__}: {error}"
        if attempt.tries >= BUG_TRIES:
            await self._drop(attempt, note)
        else:
            await self._put_off(attempt, self._backoff.after(attempt.tries), note)


class _Standing:
    """What was last shown in which message, to spare edits that change nothing."""

    def __init__(self, most: int = 1000) -> None:
        self._shown: OrderedDict[tuple[str, str], Reply] = OrderedDict()
        self._most = most

    def shows(self, chat: str, message: str, reply: Reply) -> bool:
        return self._shown.get((chat, message)) == reply

    def put(self, chat: str, message: str, reply: Reply) -> None:
        self._shown[chat, message] = reply
        self._shown.move_to_end((chat, message))
        if len(self._shown) > self._most:
            self._shown.popitem(last=False)


def redacted(reply: Reply, redact: Redact) -> Reply:
    """The reply with every text of it passed through `redact`; keys stay as they are."""
    return replace(
        reply,
        title=redact(reply.title),
        lines=tuple(map(redact, reply.lines)),
        fields=tuple((redact(name), redact(value)) for name, value in reply.fields),
        table=_table(reply.table, redact),
        notes=tuple(map(redact, reply.notes)),
        code=None if reply.code is None else redact(reply.code),
        attachments=tuple(Attachment(redact(a.name), redact(a.text)) for a in reply.attachments),
        buttons=tuple(_button(button, redact) for button in reply.buttons),
        extra={name: redact(value) for name, value in reply.extra.items()},
    )


def _table(table: Table | None, redact: Redact) -> Table | None:
    if table is None:
        return None
    rows = tuple(tuple(map(redact, row)) for row in table.rows)
    return Table(tuple(map(redact, table.columns)), rows)


def _button(button: Button, redact: Redact) -> Button:
    return replace(
        button,
        label=redact(button.label),
        command=redact(button.command),
        ask=None if button.ask is None else redact(button.ask),
    )
