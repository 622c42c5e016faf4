"""State × act: for every situation a task can be in and everything that can happen to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.errors import Refused
from core.model import (
    GateKind,
    GateState,
    IterationState,
    SessionState,
    TaskState,
    WorktreeState,
)

T, S, I, G, W = TaskState, SessionState, IterationState, GateState, WorktreeState  # noqa: E741


class Situation(StrEnum):
    """Where a task stands, seen with the session and gate of its current step."""

    INBOX = "in the inbox"
    READY = "ready"
    BLOCKED = "blocked"
    STARTING = "starting"
    WORKING = "in work"
    ASKING_LEAVE = "waiting for a permission"
    ASKING = "waiting for an answer"
    PARKED = "waiting for an answer, its session suspended"
    HELD = "paused"
    RESUMING = "about to go on"
    JUDGING = "being checked"
    DECIDING = "waiting for a decision"
    FORGING = "being merged"
    FAILED = "failed"
    DONE = "done"
    CANCELLED = "cancelled"


class Act(StrEnum):
    """What can happen to a task from outside its own work."""

    APPROVE = "approve"
    REJECT = "reject"
    EDIT = "edit"
    ANSWER = "answer"
    KILL = "kill"
    CANCEL = "cancel"
    DONE = "done"
    RETRY = "retry"
    REOPEN = "reopen"
    PAUSE = "pause"
    RESUME = "resume"
    LIMIT = "limit"
    BUDGET = "budget"
    RELEASE = "release"
    DELETE = "delete"
    LOST = "lost"
    BOT_KILLED = "bot killed"


@dataclass(frozen=True, slots=True)
class Move:
    """The next states; None: stays as it is (or there is none). `next_iteration`: a further
    iteration is begun. `by_workflow`: the outcome's route decides the task's next state.
    `retried`: where the retry policy allows another try, the task is ready instead.
    `gone`: its rows are removed."""

    task: TaskState | None = None
    session: SessionState | None = None
    iteration: IterationState | None = None
    gate: GateState | None = None
    worktree: WorktreeState | None = None
    next_iteration: bool = False
    by_workflow: bool = False
    retried: bool = False
    gone: bool = False


STAY = Move()
Cell = Move | str

NOTHING_TO = {
    Act.APPROVE: "{ref} is {situation}: nothing to approve there.",
    Act.REJECT: "{ref} is {situation}: nothing to reject there.",
    Act.EDIT: "{ref} is {situation}: nothing to edit there.",
    Act.ANSWER: "{ref} is {situation}: it asks nothing.",
    Act.KILL: "{ref} is {situation}: nothing of it runs. To drop it: /cancel {id}",
    Act.CANCEL: "{ref} is {situation} already.",
    Act.DONE: "{ref} is {situation} already.",
    Act.RETRY: "{ref} is {situation}; only a failed task is retried.",
    Act.REOPEN: "{ref} is {situation}; only a done or cancelled task is reopened.",
    Act.PAUSE: "{ref} is {situation}: nothing to pause.",
    Act.RESUME: "{ref} is {situation}: nothing to resume.",
    Act.LIMIT: "{ref} is {situation}: no limit applies.",
    Act.BUDGET: "{ref} is {situation}: no budget applies.",
    Act.RELEASE: "{ref} is {situation}: nobody has it.",
    Act.DELETE: "{ref} is {situation}: /cancel {id} first, then delete it.",
    Act.LOST: "{ref} is {situation}: nothing of it can be lost.",
}

_PROCESS = (Situation.STARTING, Situation.WORKING, Situation.ASKING_LEAVE, Situation.ASKING)
_PARKED = (Situation.PARKED, Situation.HELD, Situation.RESUMING)
_SETTLED = (Situation.JUDGING, Situation.DECIDING, Situation.FORGING)
_IDLE = (Situation.INBOX, Situation.READY, Situation.BLOCKED)
_GATED = {Situation.ASKING_LEAVE, Situation.ASKING, Situation.PARKED, Situation.DECIDING}


def _ending(situation: Situation, task: TaskState) -> Move:
    """How kill, cancel and done end what there is: processes are stopped first."""
    gate = G.CANCELLED if situation in _GATED else None
    if situation in _PROCESS:
        return Move(task, S.TERMINATING, I.KILLED, gate)
    if situation in _PARKED:
        return Move(task, S.TERMINATED, I.KILLED, gate, W.ARCHIVED)
    if situation in _SETTLED:
        return Move(task, S.TERMINATED, None, gate, W.ARCHIVED)
    return Move(task)


def _holding(situation: Situation) -> Move:
    """Pause, limit and a used-up budget: the session is suspended, the task blocked."""
    if situation in (Situation.READY, Situation.RESUMING, *_SETTLED):
        return Move(T.BLOCKED)
    gate = G.CANCELLED if situation in _GATED else None
    # While it starts, its workspace may still be in the making: that stays as it is.
    worktree = None if situation is Situation.STARTING else W.SUSPENDED
    return Move(T.BLOCKED, S.SUSPENDED, I.WAITING, gate, worktree)


def _table() -> dict[Situation, dict[Act, Cell]]:
    table: dict[Situation, dict[Act, Cell]] = {
        situation: {**NOTHING_TO, Act.BOT_KILLED: STAY} for situation in Situation
    }
    for situation in (*_IDLE, *_PROCESS, *_PARKED, *_SETTLED, Situation.FAILED):
        table[situation][Act.CANCEL] = _ending(situation, T.CANCELLED)
        table[situation][Act.DONE] = _ending(situation, T.DONE)
    for situation in (*_PROCESS, *_PARKED, *_SETTLED):
        table[situation][Act.KILL] = _ending(situation, T.FAILED)
    for situation in (*_PROCESS, Situation.READY, Situation.RESUMING):
        for act in (Act.PAUSE, Act.LIMIT, Act.BUDGET):
            table[situation][act] = _holding(situation)
    for situation in (Situation.BLOCKED, Situation.HELD):
        for act in (Act.PAUSE, Act.LIMIT, Act.BUDGET):
            table[situation][act] = Move(T.BLOCKED)  # one more reason
    for situation in (*_PROCESS, *_PARKED, *_SETTLED):
        table[situation][Act.RELEASE] = _ending(situation, T.READY)
    table[Situation.READY][Act.RELEASE] = STAY  # its assignee is forgotten
    for situation in (*_IDLE, Situation.FAILED, Situation.DONE, Situation.CANCELLED):
        table[situation][Act.DELETE] = Move(gone=True)
    for situation in _PROCESS:
        table[situation][Act.LOST] = Move(
            T.FAILED,
            S.TERMINATED,
            I.FAILED,
            G.CANCELLED if situation in _GATED else None,
            W.CLEANING if situation is Situation.STARTING else W.ARCHIVED,
            retried=True,
        )
    for situation in (Situation.ASKING_LEAVE,):
        table[situation][Act.APPROVE] = Move(iteration=I.RUNNING, gate=G.APPROVED)
        table[situation][Act.REJECT] = Move(iteration=I.RUNNING, gate=G.REJECTED)
    table[Situation.ASKING][Act.ANSWER] = Move(iteration=I.RUNNING, gate=G.ANSWERED)
    table[Situation.PARKED][Act.ANSWER] = Move(
        T.IN_FLIGHT, None, I.FAILED, G.ANSWERED, next_iteration=True
    )
    table[Situation.DECIDING] |= {
        Act.APPROVE: Move(gate=G.APPROVED, by_workflow=True),
        Act.REJECT: Move(gate=G.REJECTED, by_workflow=True),
        Act.EDIT: STAY,
    }
    table[Situation.HELD][Act.RESUME] = Move(T.IN_FLIGHT, None, None)
    table[Situation.BLOCKED][Act.RESUME] = Move(T.READY)
    table[Situation.FAILED][Act.RETRY] = Move(T.READY)
    table[Situation.DONE][Act.REOPEN] = Move(T.READY)
    table[Situation.CANCELLED][Act.REOPEN] = Move(T.READY)
    return table


TABLE = _table()


def decide(situation: Situation, act: Act, task_id: int) -> Move:
    """The next states of all nouns together; raises Refused with the table's words."""
    cell = TABLE[situation][act]
    if isinstance(cell, Move):
        return cell
    raise Refused(cell.format(ref=f"TASK-{task_id:03d}", id=task_id, situation=situation.value))


def situation(
    task: TaskState,
    session: SessionState | None,
    iteration: IterationState | None,
    gate: GateKind | None,
    forging: bool = False,
) -> Situation:
    """Where a task stands, from the states of the session, iteration and open gate of its
    current step; `forging`: that step is a forge step."""
    plain = {
        T.INBOX: Situation.INBOX,
        T.READY: Situation.READY,
        T.FAILED: Situation.FAILED,
        T.DONE: Situation.DONE,
        T.CANCELLED: Situation.CANCELLED,
    }
    if task in plain:
        return plain[task]
    if task is T.BLOCKED:
        return _blocked(session, gate)
    if gate in (GateKind.REVIEW, GateKind.MERGE):
        return Situation.DECIDING
    if forging:
        return Situation.FORGING
    return _active(session, iteration, gate)


def _blocked(session: SessionState | None, gate: GateKind | None) -> Situation:
    if session is None:
        return Situation.BLOCKED
    return Situation.PARKED if gate is GateKind.QUESTION else Situation.HELD


def _active(
    session: SessionState | None, iteration: IterationState | None, gate: GateKind | None
) -> Situation:
    if session is S.STARTING:
        return Situation.STARTING
    if session is S.RUNNING:
        asking = {GateKind.PERMISSION: Situation.ASKING_LEAVE, GateKind.QUESTION: Situation.ASKING}
        return asking.get(gate, Situation.WORKING) if gate else Situation.WORKING
    return Situation.RESUMING if iteration is I.WAITING else Situation.JUDGING
