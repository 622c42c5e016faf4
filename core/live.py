"""What agents say, as they say it: a hub in this process over the log.

A subscriber begins at a sequence number of the log, reads on from there to the newest line, and
gets each new one as it is committed. Nothing is missed between the two: whatever comes while it
reads waits for it, and is passed on once. One that is too slow holds nobody up: what waits for
it is let go, and it is told from which number on to read again.

Lines are as agents wrote them: whoever shows them redacts them, as one text.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

from core import views
from core.longlines import first_part
from core.model import AgentEventKind, Event
from core.store.database import Store
from core.store.logs import Written
from core.views import LogLine, given_words

MOST = 5000
"""Lines that may wait for a subscriber."""
_PAGE = 1000
_ENDS = frozenset({"task.completed", "task.failed", "task.cancelled", "task.deleted"})


@dataclass(frozen=True, slots=True)
class Heard:
    """Lines in the order of their numbers. `lagged`: some were let go before these; read on from
    the log after that number to have them all."""

    lines: tuple[LogLine, ...]
    lagged: int | None = None


class Live:
    """One for a store. Subscribers cost nothing while nobody subscribes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions: defaultdict[str, set[_Ear]] = defaultdict(set)
        self._tasks: defaultdict[int, set[_Ear]] = defaultdict(set)
        store.heard.append(self._written)
        store.state.listeners.append(self._happened)

    def subscribe(
        self,
        *,
        session: str | None = None,
        task: int | None = None,
        after: int = 0,
        most: int = MOST,
    ) -> AsyncIterator[Heard]:
        """The lines of a session, or of all sessions of a task, after that sequence number, until
        it has ended. At most `most` of them wait for this subscriber."""
        ear = _Ear(self._store, session, task, after, most)
        return self._listen(ear)

    async def _listen(self, ear: _Ear) -> AsyncIterator[Heard]:
        await ear.look()
        self._enter(ear)
        try:
            await ear.look()  # a session that has begun, or an end, between the two
            self._enter(ear)
            while (heard := await ear.next()) is not None:
                yield heard
        finally:
            self._leave(ear)

    def _enter(self, ear: _Ear) -> None:
        for session in ear.sessions:
            self._sessions[session].add(ear)
        if ear.task is not None:
            self._tasks[ear.task].add(ear)

    def _leave(self, ear: _Ear) -> None:
        for session in ear.sessions:
            self._sessions[session].discard(ear)
            if not self._sessions[session]:
                del self._sessions[session]
        if ear.task is not None:
            self._tasks[ear.task].discard(ear)
            if not self._tasks[ear.task]:
                del self._tasks[ear.task]

    # -- what happens ----------------------------------------------------------------------

    def _written(self, written: Written) -> None:
        ears = self._sessions.get(written.session_id)
        if ears:
            lines = _lines(written)
            for ear in ears:
                ear.hear(lines)

    def _happened(self, events: Sequence[Event]) -> None:
        if not self._sessions and not self._tasks:
            return
        for event in events:
            if event.session_id is not None and event.type == "session.ended":
                for ear in self._sessions.get(event.session_id, ()):
                    ear.over(event)
            for ear in self._tasks.get(event.task_id or 0, ()):
                if event.session_id is not None and event.session_id not in ear.sessions:
                    ear.sessions.add(event.session_id)
                    self._sessions[event.session_id].add(ear)
                    ear.behind = True  # it may have said something before this was known
                    ear.wake()
                ear.over(event)


class _Ear:
    """One subscriber: where it is, and what waits for it."""

    def __init__(
        self, store: Store, session: str | None, task: int | None, after: int, most: int
    ) -> None:
        self.sessions = set[str]() if session is None else {session}
        self.task = task
        self.behind = True
        self._store = store
        self._after = after
        self._at: dict[str, int] = {}  # by session: two may be heard in another order
        self._most = most
        self._waiting: deque[LogLine] = deque()
        self._lagged: int | None = None
        self._ended = False
        self._woken = asyncio.Event()

    async def look(self) -> None:
        """Which sessions there are by now, and whether all has ended."""
        sessions, ended = await self._store.view(
            partial(views.heard_from, task=self.task, sessions=sorted(self.sessions))
        )
        self.sessions |= sessions
        self._ended = self._ended or ended
        self.behind = True

    def hear(self, lines: Sequence[LogLine]) -> None:
        if self.behind:  # it reads in the log, and will come by these too
            self.wake()
            return
        if len(self._waiting) + len(lines) > self._most:
            if self._lagged is None:
                self._lagged = min(map(self._position, self.sessions))
            self._waiting.clear()
            lines = lines[-self._most :]
        self._waiting.extend(lines)
        self.wake()

    def over(self, event: Event) -> None:
        alone = self.task is None and event.type == "session.ended"
        if alone or (self.task is not None and event.type in _ENDS):
            self._ended = True
            self.wake()

    def wake(self) -> None:
        self._woken.set()

    def _position(self, session: str) -> int:
        return self._at.get(session, self._after)

    async def next(self) -> Heard | None:
        """What comes next; None when all has been said."""
        while True:
            if self.behind:
                heard = await self._read()
                if heard is not None:
                    return heard
                continue
            if (heard := self._take()) is not None:
                return heard
            if self._ended:
                return None
            self._woken.clear()
            await self._woken.wait()

    async def _read(self) -> Heard | None:
        """A page of the log. What is committed while it is read is read as well: only when a page
        was empty, and nothing has come meanwhile, does it hear directly."""
        self._woken.clear()
        lines = await self._store.view(
            partial(
                views.heard_after,
                positions={session: self._position(session) for session in self.sessions},
                n=_PAGE,
            )
        )
        if not lines:
            self.behind = self._woken.is_set()
            return None
        return self._heard(lines, None)

    def _take(self) -> Heard | None:
        lines = tuple(line for line in self._waiting if line.seq > self._position(line.session_id))
        self._waiting.clear()
        lagged, self._lagged = self._lagged, None
        return self._heard(lines, lagged) if lines else None

    def _heard(self, lines: tuple[LogLine, ...], lagged: int | None) -> Heard:
        for line in lines:
            self._at[line.session_id] = line.seq
        return Heard(lines, lagged)


def _lines(written: Written) -> tuple[LogLine, ...]:
    said = [(entry.line, event) for entry in written.entries for event in entry.events]
    first = written.last - len(said) + 1
    return tuple(
        LogLine(
            first + number,
            written.session_id,
            written.attempt,
            written.iteration,
            line.stream,
            event.kind.value,
            first_part(event.text),
            line.at,
            given_words(event.data, event.text) if event.kind is AgentEventKind.TOOL_CALL else "",
        )
        for number, (line, event) in enumerate(said)
    )
