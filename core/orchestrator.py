"""The tick: reconcile what is alive, judge, merge, dispatch. So recovery IS the first tick."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from core import budgets, hotfiles, limits, qa
from core.dispatch import dispatch
from core.errors import BullpenError
from core.house import House
from core.jobs import Jobs
from core.killpoints import kill_point
from core.merging import merge
from core.model import Agent, Event, StepKind
from core.outcomes import hold
from core.policy import Policy
from core.sessions import Keeper, givenup
from core.store import claims, tasks
from core.store.database import Row, Tx
from core.store.givenup import LEFT
from core.tidying import tidy
from core.waiting import woken
from core.worktrees.removing import settle

SESSIONS = """
SELECT sessions.id, sessions.state, sessions.agent, iterations.state AS work, iterations.qa,
       tasks.state AS task, tasks.repo
FROM sessions INDEXED BY sessions_open JOIN tasks ON tasks.id = sessions.task_id
LEFT JOIN iterations ON iterations.session_id = sessions.id AND iterations.number =
  (SELECT max(number) FROM iterations WHERE session_id = sessions.id)
WHERE sessions.state <> 'terminated'
"""
ACTIVE_TASKS = """
SELECT id, workflow, step FROM tasks INDEXED BY tasks_active
WHERE state IN ('planning', 'in_flight', 'review', 'blocked') AND state <> 'blocked'
"""
UNTIDY = """
SELECT CAST(id AS TEXT) AS id, 1 AS by_hand FROM worktrees INDEXED BY worktrees_unsettled
WHERE state IN ('creating', 'cleaning')
UNION ALL
SELECT id, 0 FROM sessions INDEXED BY sessions_unsettled
WHERE state = 'terminated' AND worktree_state = 'cleaning' AND borrowed IS NULL
UNION ALL
SELECT sessions.id, 0 FROM sessions INDEXED BY sessions_untidy
JOIN tasks ON tasks.id = sessions.task_id
WHERE sessions.state = 'terminated' AND sessions.kept IS NULL AND sessions.borrowed IS NULL
  AND sessions.worktree_state IN ('archived', 'cleaning') AND tasks.state = 'done'
LIMIT 50
"""
LIVE = ("starting", "running", "terminating")
ACTIVE = ("planning", "in_flight", "review")
LOOKS = 4
"""Workspaces that are looked into at one tick."""


@dataclass(slots=True)
class Found:
    """What a turn saw: sessions that need a keeper, those of them that run beside others in the
    same repository, work to judge, merge or tidy away, worktrees begun by hand, attempts given
    up. `due`: when the first task whose retry is pending may be claimed or the first account
    works again, ms since the epoch; `rested`: one does now; `spent`: a budget is used up."""

    live: list[str]
    beside: list[str]
    going_on: int
    unjudged: list[str]
    forging: list[int]
    untidy: list[str]
    unsettled: list[int]
    given_up: list[tuple[str, int]]
    claimable: bool
    due: int | None
    rested: bool
    spent: bool


class Orchestrator:
    """One loop. `wake()` makes it look at once; without it it looks every `interval` seconds."""

    def __init__(self, house: House, interval: float = 60.0) -> None:
        self._house = house
        self._interval = interval
        self._woken = asyncio.Event()
        self._keepers: dict[str, Keeper] = {}
        self._jobs = Jobs(self.wake)
        self._merging = asyncio.Lock()
        self._turns = 0
        self._turning = False
        self._fruitless: object = None
        self._known: int | None = None
        self._surveyed = time.monotonic()
        self._next_look = 0
        house.store.state.listeners.append(self._hear)

    # -- the loop --------------------------------------------------------------------------

    async def run(self) -> None:
        """Turn until cancelled. Keepers and jobs are cancelled with it; agents go on."""
        try:
            while True:
                self._woken.clear()
                delay = await self.turn()
                await woken(self._woken, delay)
        finally:
            await self._leave()

    @property
    def policy(self) -> Policy:
        return self._house.policy

    def wake(self) -> None:
        self._woken.set()

    def idle(self, waiting: Collection[str] = ()) -> bool:
        """Nothing under way in this process, and no reason known to look again. `waiting`:
        sessions that wait for a person; their keepers don't count."""
        keepers = {f"keep {session_id}" for session_id in waiting}
        return (
            self._turns > 0
            and not self._turning
            and not self._woken.is_set()
            and self._jobs.idle(keepers)
        )

    async def turn(self) -> float:
        """Reconcile, then dispatch; returns after how many seconds to look again."""
        self._turning = True
        try:
            found = await self._turn()
        finally:
            self._turning = False
        self._turns += 1
        return self._delay(found.due)

    async def _turn(self) -> Found:
        found = await self._look()
        if found.rested or found.spent:
            await self._house.store.write(self._go_by_the_clock)
        for session_id in [
            known for known in self._keepers if f"keep {known}" not in self._jobs.running
        ]:
            del self._keepers[session_id]
        for session_id in found.live:
            self._keep(session_id)
        for session_id in found.unjudged:
            self._jobs.start(f"judge {session_id}", partial(qa.judge, self._house, session_id))
        for task_id in found.forging:
            self._jobs.start(f"merge {task_id}", partial(self._merge, task_id))
        for session_id in found.untidy:
            self._jobs.start(f"tidy {session_id}", partial(tidy, self._house, session_id))
        for number in found.unsettled:
            self._jobs.start(f"worktree {number}", partial(settle, self._house, number))
        for about in found.given_up:
            self._jobs.start("end {}/{}".format(*about), partial(givenup.end, self._house, *about))
        self._survey(found.beside)
        if found.claimable or found.going_on or self._known != self._house.current.version:
            await self._dispatch(found.due)
        return found

    def _survey(self, beside: Sequence[str]) -> None:
        """Each tick, not each turn, and a few at a time, for each look costs processes: which
        files do they change who work beside each other?"""
        now = time.monotonic()
        if now - self._surveyed < self._interval:
            return
        self._surveyed = now
        few = [*beside, *beside][self._next_look :][: min(LOOKS, len(beside))]
        self._next_look = (self._next_look + len(few)) % max(len(beside), 1)
        for session_id in few:
            work = partial(hotfiles.survey, self._house, session_id)
            self._jobs.start(f"survey {session_id}", work)

    def _hear(self, events: Sequence[Event]) -> None:
        for event in events:
            keeper = self._keepers.get(event.session_id or "")
            if keeper is not None:
                keeper.poke()
            if event.type == "session.terminating":
                self._jobs.soon(f"keep {event.session_id}")
        self.wake()

    # -- reconcile -------------------------------------------------------------------------

    async def _look(self) -> Found:
        store = self._house.store
        open_sessions = await store.read(SESSIONS)
        active = await store.read(ACTIVE_TASKS)
        untidy = await store.read(UNTIDY)
        given_up = await store.read(LEFT)
        now = store.now()
        (glance,) = await store.read(claims.GLANCE, (now,))
        rested = glance["rested"]
        return Found(
            live=[row["id"] for row in open_sessions if row["state"] in LIVE],
            beside=_beside(open_sessions),
            going_on=sum(_goes_on(row) for row in open_sessions),
            unjudged=[row["id"] for row in open_sessions if _unjudged(row)],
            forging=[row["id"] for row in active if self._forges(row)],
            untidy=[row["id"] for row in untidy if not row["by_hand"]],
            unsettled=[int(row["id"]) for row in untidy if row["by_hand"]],
            given_up=[(row["session_id"], row["number"]) for row in given_up],
            claimable=bool(glance["claimable"]),
            due=min(filter(None, (glance["due"], rested)), default=None),
            rested=bool(rested and rested <= now),
            spent=bool(glance["spent"]),
        )

    def _go_by_the_clock(self, tx: Tx) -> None:
        """What a usage limit's end or a new day lets go."""
        limits.lift_due(tx, self._house)
        budgets.roll_over(tx, self._house)

    def _forges(self, row: Row) -> bool:
        workflow = self._house.workflows.get(row["workflow"])
        steps = workflow.steps if workflow is not None else ()
        return any(step.id == row["step"] and step.kind is StepKind.FORGE for step in steps)

    async def _dispatch(self, due: int | None) -> None:
        """What started nothing starts nothing again, until something is different."""
        agents = self.able()
        seen = (
            self._house.store.state.total_changes,
            self._house.current.version,
            frozenset(agents),
            due,
        )
        if seen == self._fruitless:
            return
        version = self._house.current.version
        anew = version != self._known
        started = await self._house.store.write(lambda tx: dispatch(tx, self._house, agents, anew))
        self._known = version
        self._fruitless = None if started else seen
        if started:
            kill_point("after-claim")
        for session_id in started:
            self._keep(session_id)

    def able(self) -> dict[str, Agent]:
        """The agents that can work on this machine now."""
        return {
            name: agent
            for name, agent in self._house.agents.items()
            if self._house.missing(agent) is None
        }

    def _delay(self, due: int | None) -> float:
        """Until the next tick, or until the first retry is due."""
        delay = min(self._interval, self._jobs.next_in())
        if due is None:
            return delay
        return min(delay, max(0.05, (due - self._house.store.now()) / 1000))

    # -- jobs ------------------------------------------------------------------------------

    def _keep(self, session_id: str) -> None:
        name = f"keep {session_id}"
        if name in self._jobs.running:
            return
        keeper = self._keepers[session_id] = Keeper(self._house, session_id)
        self._jobs.start(name, keeper.run)

    async def _merge(self, task_id: int) -> bool:
        """All merges pass one at a time (model.md, rule 12)."""
        async with self._merging:
            try:
                return await merge(self._house, task_id)
            except BullpenError as error:
                why = str(error)
                await self._house.store.write(lambda tx: hold(tx, tasks.get(tx, task_id), why))
                return False

    async def _leave(self) -> None:
        await self._jobs.cancel()


def _goes_on(row: Row) -> bool:
    return row["state"] == "suspended" and row["work"] == "waiting" and row["task"] in ACTIVE


def _unjudged(row: Row) -> bool:
    return (
        row["state"] == "suspended"
        and row["work"] == "completed"
        and row["qa"] == "pending"
        and row["task"] in ACTIVE
    )


def _beside(open_sessions: Sequence[Row]) -> list[str]:
    """Running sessions of repositories in which more than one runs."""
    running = [row for row in open_sessions if row["state"] == "running"]
    many = Counter(row["repo"] for row in running)
    return [row["id"] for row in running if many[row["repo"]] > 1]
