"""Tasks, and what is done on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.model.states import (
    AttemptState,
    GateKind,
    GateState,
    IterationState,
    Priority,
    QaState,
    Role,
    SessionOutcome,
    SessionState,
    TaskState,
    WorktreeState,
    gate_ref,
    task_ref,
)


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed file: lines added and removed (0 for what has no lines).

    `kind` is `text`, `binary`, `link` or `submodule`. `path` is an agent's word: it may hold
    newlines and control characters.
    """

    path: str
    added: int
    removed: int
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class Change:
    """What `head` changes since it left the default branch at `base`.

    `marked` are the changed paths that steer agents, hooks or CI: a person should look twice.
    `apart` are folders that are repositories of their own, left out or named by a commit that
    Bullpen lacks: what is in them is no part of the change. Their names are an agent's words.
    """

    base: str
    head: str
    patch_id: str
    files: tuple[FileChange, ...]
    marked: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.files


@dataclass(frozen=True, slots=True)
class Task:
    """`held` (`wave`, `run` or `collision`, then by `held_by`): ready, but not to be claimed
    yet. `run_id` and `wave` are of the open run that it is part of. `tokens` and `cost_usd`
    are what all its sessions have spent. `interactive`, `borrows`: how its session begins (at a
    terminal; in which worktree made by hand)."""

    id: int
    title: str
    description: str
    state: TaskState
    priority: Priority
    workflow: str
    step: str
    slug: str
    created_by: str
    created_at: int
    updated_at: int
    blocked_from: TaskState | None = None
    complexity: str | None = None
    category: str | None = None
    lane: str | None = None
    repo: str | None = None
    run_command: str | None = None
    assignee: str | None = None
    position: int | None = None
    not_before: int | None = None
    attempts: int = 0
    unmet: int = 0
    begun: bool = False
    ephemeral: bool = False
    failure: str | None = None
    hold: str | None = None
    change: Change | None = None
    branch: str | None = None
    base_commit: str | None = None
    head_commit: str | None = None
    merge_commit: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    revision: int = 0
    assigned_step: str | None = None
    budget_tokens: int | None = None
    budget_usd: float | None = None
    plan: str | None = None
    verification: str | None = None
    held: str | None = None
    held_by: int | None = None
    run_id: int | None = None
    wave: int | None = None
    tokens: int = 0
    cost_usd: float = 0.0
    interactive: bool = False
    borrows: int | None = None

    @property
    def ref(self) -> str:
        return task_ref(self.id)


@dataclass(frozen=True, slots=True)
class Session:
    """`held_for` (`paused`, `limit` or `budget`): its process is to be stopped, or was, and it
    goes on later. `unstoppable`: no budget stops it before its step's end. `forced`: it is being
    stopped, and a person won't wait for it any more. `borrowed`: the worktree made by hand that
    it works in, instead of one of its own; `drop_branch`: with its own its branch goes too.
    `interactive`: a person types to it in a terminal. `cut_off`: why its last process ended
    though nobody had asked for that, and it goes on."""

    id: str
    task_id: int
    step: str
    agent: str
    driver: str
    sandbox: str
    state: SessionState
    created_at: int
    outcome: SessionOutcome | None = None
    reason: str | None = None
    branch: str | None = None
    worktree: str = ""
    worktree_state: WorktreeState = WorktreeState.CREATING
    driver_session: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    tool_calls: int = 0
    last_activity_at: int | None = None
    unreachable_since: int | None = None
    started_at: int | None = None
    ended_at: int | None = None
    account: str | None = None
    model: str | None = None
    held_for: str | None = None
    unstoppable: bool = False
    forced: bool = False
    borrowed: int | None = None
    drop_branch: bool = False
    interactive: bool = False
    cut_off: str | None = None


@dataclass(frozen=True, slots=True)
class Worktree:
    """One that a person asked for; a session's own is in its row. `path` is absolute, `base` the
    commit that it began at, `kept` why it was not removed. `drop_branch`: its branch goes with
    it."""

    id: int
    path: str
    repo: str
    branch: str
    base: str
    state: WorktreeState
    created_by: str
    created_at: int
    agent: str | None = None
    task_id: int | None = None
    kept: str | None = None
    drop_branch: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One process of a session. `position` is how far its output has been taken into state."""

    session_id: str
    number: int
    state: AttemptState
    handle: str | None = None
    position: int = 0
    inputs: int = 0
    exit_status: int | None = None
    exit_signal: int | None = None
    exit_reason: str | None = None
    started_at: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class Iteration:
    """One prompt → work → result."""

    session_id: str
    number: int
    attempt: int
    state: IterationState
    prompt: str
    qa: QaState = QaState.PENDING
    summary: str | None = None
    outcome: str | None = None
    reason: str | None = None
    started_at: int = 0
    ended_at: int | None = None
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Gate:
    """Whatever waits for a human. `patch_id`, `head` and `artifact_hash` are what was shown."""

    id: int
    kind: GateKind
    state: GateState
    task_id: int | None
    title: str
    body: str
    opened_at: int
    session_id: str | None = None
    attempt: int | None = None
    iteration: int | None = None
    step: str | None = None
    agent: str | None = None
    options: tuple[str, ...] = ()
    request: Mapping[str, Any] = field(default_factory=dict)
    patch_id: str | None = None
    base: str | None = None
    head: str | None = None
    artifact_hash: str | None = None
    may_answer: Role = Role.APPROVER
    deadline_at: int | None = None
    answered_at: int | None = None
    answered_by: str | None = None
    answered_name: str | None = None
    answered_place: str | None = None
    answer: str | None = None
    revision: int = 0
    scope: str = "task"
    run_id: int | None = None
    subject: str | None = None
    needed: int = 1

    @property
    def ref(self) -> str:
        return gate_ref(self.id)
