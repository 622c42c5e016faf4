"""Keeps one session: a loop that looks at its row, does what that asks for, and looks again.

It holds nothing that matters: killed at any instruction, a new one goes on from the rows and
the attempt's folder.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from functools import partial

import structlog

from core import shortages
from core.errors import BullpenError, Unreachable
from core.house import House
from core.killpoints import kill_point
from core.model import (
    AgentEvent,
    Attempt,
    AttemptState,
    Session,
    SessionState,
    Severity,
    TaskState,
    task_ref,
)
from core.ports import Exit, Verdict
from core.sessions import stopping
from core.sessions.ending import SHUT_DOWN, attempt_over
from core.sessions.inputs import note
from core.sessions.ordering import make_order
from core.sessions.prompting import interruption
from core.sessions.reach import Reach, unproven
from core.sessions.starting import prepare_workspace, reload
from core.sessions.tailer import Tailer
from core.sessions.unstarted import agent_gone, forget, order_anew
from core.sessions.verdicts import judged, last_words
from core.sessions.watching import Watch
from core.store import inputs, logs, sessions, tasks
from core.store.database import Tx
from core.waiting import woken

log = structlog.get_logger(__name__)


SHORTAGE = 5.0
"""Seconds until what the machine had no room for is tried again."""
FAREWELL = 2.0
"""Seconds: who tells agents to end may be about to tell the bot, which then begins none anew."""
_LIVE = (SessionState.STARTING, SessionState.RUNNING)


class Keeper:
    """`poke()` makes it look at its rows at once; `run()` returns when nothing runs any more."""

    def __init__(self, house: House, session_id: str) -> None:
        self._house = house
        self._id = session_id
        self._poked = asyncio.Event()
        self._reach = Reach(house, session_id, self._poked)

    def poke(self) -> None:
        self._poked.set()

    async def run(self) -> None:
        """Go on until the session is suspended or terminated. Raises what outlasts it: the
        orchestrator starts a new keeper on its next turn."""
        going = True
        while going:
            try:
                going = await self._turn()
            except Unreachable as error:
                await self._reach.gone(str(error))
            except BullpenError as error:
                if not shortages.passing(error):
                    raise
                await self._held_back(str(error))
        await self._house.doors.close(self._id)

    async def _held_back(self, why: str) -> None:
        """The machine is short of something: told once; then a pause."""
        log.warning("held back", session=self._id, why=why)
        with contextlib.suppress(BullpenError):
            await self._house.store.write(
                lambda tx: shortages.tell(tx, sessions.get(tx, self._id), why)
            )
        self._poked.clear()
        await woken(self._poked, SHORTAGE)

    async def _turn(self) -> bool:
        """Do what the row asks for; False when it asks for nothing more."""
        session, held = await self._house.store.write(self._look)
        ends = session.state is SessionState.TERMINATING or held
        if session.unreachable_since is not None and not ends:
            await self._ask_again(session)
        if ends:
            await self._stop(asks=session.unreachable_since is None)
        elif session.state is SessionState.STARTING:
            await self._start()
        elif session.state is SessionState.RUNNING:
            await self._watch(session.agent)
        else:
            return False
        return True

    async def _ask_again(self, session: Session) -> None:
        """Whether it answers by now. Raises Unreachable."""
        attempt = await self._house.store.write(lambda tx: sessions.get_attempt(tx, self._id))
        if attempt.state is AttemptState.RUNNING:
            folder = self._house.attempt_folder(session.id, attempt.number)
            sandbox = self._house.sandboxes[session.sandbox]
            await sandbox.status(folder, attempt.handle or "")
            await self._reach.back()

    def _look(self, tx: Tx) -> tuple[Session, bool]:
        """It, and whether its process is to be stopped so that it can go on later. While
        it starts, what held it before counts only as long as its task is held."""
        session = sessions.get(tx, self._id)
        held = session.held_for is not None
        if session.state is SessionState.STARTING and held:
            held = tasks.get(tx, session.task_id).state is TaskState.BLOCKED
        return session, held and session.state in _LIVE

    # -- start -----------------------------------------------------------------------------

    async def _start(self) -> None:
        try:
            handle = await self._handle()
        except Unreachable:
            raise  # whether it has started isn't known
        except BullpenError as error:
            if shortages.passing(error):
                raise
            await self._never_started(str(error))
            return
        if handle is None:
            return
        kill_point("after-spawn")
        await self._house.store.write(lambda tx: self._started(tx, handle))

    async def _handle(self) -> str | None:
        """The started process, found again or new; None when the attempt was revoked."""
        session, iteration, task = await self._house.store.write(lambda tx: reload(tx, self._id))
        sandbox = self._house.sandboxes[session.sandbox]
        folder = self._house.attempt_folder(session.id, iteration.attempt)
        if folder.exists():
            found = await sandbox.find(folder)
            if found is None:
                await forget(sandbox, folder)
                await self._house.store.write(partial(order_anew, session_id=self._id))
            return found
        if session.agent not in self._house.agents and session.held_for is None:
            await self._house.store.write(partial(agent_gone, session_id=self._id))
            return None
        shortages.need_room(self._house.data)
        await prepare_workspace(self._house, session, task)
        order = await make_order(self._house, session, iteration, task)
        if (why := await interruption(self._house, session)) is not None:
            words = f"{why} · attempt {iteration.attempt}"
            await note(self._house, session.id, iteration.attempt, words, "begun")
        await self._house.doors.open(session.id)
        return await sandbox.start(order)

    def _started(self, tx: Tx, handle: str) -> None:
        session = sessions.get(tx, self._id)
        attempt = sessions.get_attempt(tx, self._id)
        if not sessions.attempt_started(tx, attempt, handle):
            return
        if session.state is not SessionState.STARTING:
            return
        held = tasks.get(tx, session.task_id).state is TaskState.BLOCKED
        sessions.move(
            tx,
            session,
            SessionState.RUNNING,
            held_for=session.held_for if held else None,
            cut_off=None,
            unreachable_since=None,
            started_at=session.started_at or tx.now,
            last_activity_at=tx.now,
        )
        iteration = sessions.get_iteration(tx, self._id)
        words = f"{session.agent} works on {task_ref(session.task_id)}"
        sessions.tell(
            tx,
            session,
            "session.started",
            words,
            Severity.DEBUG,
            {"attempt": attempt.number, "iteration": iteration.number},
        )

    async def _never_started(self, reason: str) -> None:
        end = Exit(reason="not_started", error=reason)
        session, iteration, _ = await self._house.store.write(lambda tx: reload(tx, self._id))
        folder = self._house.attempt_folder(self._id, iteration.attempt)
        await forget(self._house.sandboxes[session.sandbox], folder)
        await self._house.store.write(
            lambda tx: attempt_over(
                tx, self._house, sessions.get_attempt(tx, self._id), end, Verdict(False, reason), []
            )
        )

    # -- watch -----------------------------------------------------------------------------

    async def _watch(self, agent: str) -> None:
        """Take in what it says until it has ended, hand it what it is owed."""
        tailer = await Tailer.at(self._house, self._id, self.poke)
        await self._house.doors.open(self._id)
        if await Watch(self._house, tailer, agent, self._poked, self._runs).over():
            await self._over(tailer)

    async def _runs(self) -> bool:
        session, held = await self._house.store.write(self._look)
        return session.state is SessionState.RUNNING and not held

    # -- end -------------------------------------------------------------------------------

    async def _over(self, tailer: Tailer) -> None:
        status = await tailer.sandbox.status(tailer.folder, tailer.handle)
        if status.alive:
            await asyncio.sleep(1.0)  # what can't be killed must not keep us spinning
            return
        end = status.end or Exit(reason="gone")
        if end.reason == "gone":
            await tailer.sandbox.stop(tailer.folder, tailer.handle, force=True)
        kill_point("after-exit")
        if end.reason == "stopped":
            await asyncio.sleep(FAREWELL)
        await self._settle(tailer, end)

    async def _settle(self, tailer: Tailer, end: Exit) -> None:
        await tailer.drain()
        attempt = tailer.attempt
        last = await self._result(attempt, end)
        if end.reason == "stopped" and last is None and end.error is None:
            end = replace(end, error=SHUT_DOWN)  # it matters only where nobody has asked for it
        tail = await last_words(self._house, self._id)
        session = await self._house.store.write(lambda tx: sessions.get(tx, self._id))
        verdict = judged(self._house, session, tailer.driver, last, end, tail)
        await forget(tailer.sandbox, tailer.folder)
        await self._house.store.write(
            lambda tx: attempt_over(tx, self._house, attempt, end, verdict, tail)
        )

    async def _result(self, attempt: Attempt, end: Exit) -> AgentEvent | None:
        """What it said at last. One that was ended while it did what people had said since has
        given none."""
        last, rests = await self._house.store.logs.write(
            lambda tx: (
                logs.last_finished(tx, self._id, attempt.number),
                logs.rests(tx, self._id, attempt.number),
            )
        )
        if last is None or rests or (end.reason is None and end.status == 0):
            return last
        said = await self._house.store.write(partial(inputs.words_of, attempt=attempt))
        return None if said else last

    async def _stop(self, asks: bool) -> None:
        """End what runs, prove that nothing is left, and only then call it terminated, or
        suspended. `asks`: by its own means first."""
        attempt = await self._house.store.write(lambda tx: sessions.get_attempt(tx, self._id))
        if attempt.state is AttemptState.STARTING:
            await self._stop_unstarted(attempt)
            return
        if attempt.state is AttemptState.ENDED:
            await self._house.store.write(self._nothing_left)
            return
        tailer = await Tailer.at(self._house, self._id, self.poke)
        with unproven():
            end = await stopping.end(self._house, tailer, self._poked, asks)
        await self._reach.back()
        kill_point("after-exit")
        await self._settle(tailer, end)

    async def _stop_unstarted(self, attempt: Attempt) -> None:
        session = await self._house.store.write(lambda tx: sessions.get(tx, self._id))
        folder = self._house.attempt_folder(session.id, attempt.number)
        handle = None
        if folder.exists():
            with unproven():
                handle = await self._house.sandboxes[session.sandbox].find(folder)
        if handle is not None:
            await self._house.store.write(lambda tx: sessions.attempt_started(tx, attempt, handle))
            return
        await forget(self._house.sandboxes[session.sandbox], folder)
        await self._house.store.write(
            lambda tx: attempt_over(
                tx, self._house, attempt, Exit(reason="not_started"), Verdict(False), []
            )
        )

    def _nothing_left(self, tx: Tx) -> None:
        session = sessions.get(tx, self._id)
        if session.state is SessionState.TERMINATING and session.outcome is not None:
            sessions.end(tx, session, session.outcome, session.reason)
