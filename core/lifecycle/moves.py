"""Each noun's allowed changes of state; any other is an error that names both states."""

from __future__ import annotations

from enum import StrEnum

from core.errors import Refused
from core.model import (
    ACTIVE,
    GateState,
    IntakeState,
    IterationState,
    RunState,
    SessionState,
    TaskState,
    WaveState,
    WorktreeState,
)

T, S, I, G, W = TaskState, SessionState, IterationState, GateState, WorktreeState  # noqa: E741

TASK_MOVES: dict[TaskState, frozenset[TaskState]] = {
    T.INBOX: frozenset({T.READY, T.BLOCKED, T.CANCELLED, T.DONE}),
    T.READY: frozenset({T.INBOX, T.BLOCKED, T.CANCELLED, T.DONE}) | ACTIVE,
    T.PLANNING: ACTIVE | {T.READY, T.BLOCKED, T.DONE, T.FAILED, T.CANCELLED},
    T.IN_FLIGHT: ACTIVE | {T.READY, T.BLOCKED, T.DONE, T.FAILED, T.CANCELLED},
    T.REVIEW: ACTIVE | {T.READY, T.BLOCKED, T.DONE, T.FAILED, T.CANCELLED},
    T.BLOCKED: ACTIVE | {T.INBOX, T.READY, T.FAILED, T.DONE, T.CANCELLED},
    T.FAILED: frozenset({T.READY, T.DONE, T.CANCELLED}),
    T.DONE: frozenset({T.READY}),
    T.CANCELLED: frozenset({T.READY}),
}

SESSION_MOVES: dict[SessionState, frozenset[SessionState]] = {
    S.STARTING: frozenset({S.RUNNING, S.SUSPENDED, S.TERMINATING, S.TERMINATED}),
    S.RUNNING: frozenset({S.SUSPENDED, S.TERMINATING, S.TERMINATED}),
    S.SUSPENDED: frozenset({S.STARTING, S.TERMINATING, S.TERMINATED}),
    S.TERMINATING: frozenset({S.TERMINATED}),
    S.TERMINATED: frozenset(),
}

ITERATION_MOVES: dict[IterationState, frozenset[IterationState]] = {
    I.RUNNING: frozenset({I.WAITING, I.COMPLETED, I.FAILED, I.KILLED}),
    I.WAITING: frozenset({I.RUNNING, I.FAILED, I.KILLED}),
    I.COMPLETED: frozenset(),
    I.FAILED: frozenset(),
    I.KILLED: frozenset(),
}

GATE_MOVES: dict[GateState, frozenset[GateState]] = {
    G.OPEN: frozenset({G.APPROVED, G.REJECTED, G.ANSWERED, G.EXPIRED, G.CANCELLED}),
    **{state: frozenset() for state in G if state is not G.OPEN},
}

WORKTREE_MOVES: dict[WorktreeState, frozenset[WorktreeState]] = {
    W.CREATING: frozenset({W.ACTIVE, W.CLEANING}),
    W.ACTIVE: frozenset({W.SUSPENDED, W.MERGING, W.ARCHIVED, W.CLEANING}),
    W.SUSPENDED: frozenset({W.ACTIVE, W.MERGING, W.ARCHIVED, W.CLEANING}),
    W.MERGING: frozenset({W.ACTIVE, W.ARCHIVED}),
    W.ARCHIVED: frozenset({W.CLEANING}),
    W.CLEANING: frozenset({W.GONE, W.ARCHIVED}),
    W.GONE: frozenset(),
}

R, V = RunState, WaveState

RUN_MOVES: dict[RunState, frozenset[RunState]] = {
    R.PLANNED: frozenset({R.RUNNING, R.CANCELLED}),
    R.RUNNING: frozenset({R.PAUSED, R.COMPLETED, R.FAILED, R.CANCELLED}),
    R.PAUSED: frozenset({R.RUNNING, R.COMPLETED, R.FAILED, R.CANCELLED}),
    R.COMPLETED: frozenset(),
    R.FAILED: frozenset(),
    R.CANCELLED: frozenset(),
}

WAVE_MOVES: dict[WaveState, frozenset[WaveState]] = {
    V.PENDING: frozenset({V.RUNNING, V.CANCELLED}),
    V.RUNNING: frozenset({V.PAUSED, V.COMPLETED, V.FAILED, V.CANCELLED}),
    V.PAUSED: frozenset({V.RUNNING, V.COMPLETED, V.FAILED, V.CANCELLED}),
    V.COMPLETED: frozenset({V.RUNNING}),  # a task of it was reopened
    V.FAILED: frozenset({V.RUNNING}),
    V.CANCELLED: frozenset(),
}

INTAKE_MOVES: dict[IntakeState, frozenset[IntakeState]] = {
    IntakeState.STORED: frozenset({IntakeState.EXECUTED, IntakeState.REFUSED}),
    IntakeState.EXECUTED: frozenset(),
    IntakeState.REFUSED: frozenset(),
}

MOVES: dict[type[StrEnum], dict] = {  # type: ignore[type-arg]
    T: TASK_MOVES,
    S: SESSION_MOVES,
    I: ITERATION_MOVES,
    G: GATE_MOVES,
    W: WORKTREE_MOVES,
    R: RUN_MOVES,
    V: WAVE_MOVES,
    IntakeState: INTAKE_MOVES,
}


def check(noun: str, old: StrEnum, new: StrEnum) -> None:
    """Raises Refused, naming both states, when this change is not in the noun's table."""
    if new not in MOVES[type(old)][old]:
        raise Refused(f"{noun} is {words(old)} and can't become {words(new)} from there.")


def words(state: StrEnum) -> str:
    """A state as people say it."""
    return {"in_flight": "in work", "review": "under review", "inbox": "in the inbox"}.get(
        state.value, state.value.replace("_", " ")
    )
