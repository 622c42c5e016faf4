"""The nouns: frozen values and the words for their states.

Times are integer milliseconds since the epoch (UTC); money is in US dollars; sizes are in
bytes. Rows of the store are turned into these by `core.store`; nothing here knows SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any


class TaskState(StrEnum):
    INBOX = "inbox"
    PLANNING = "planning"
    READY = "ready"
    IN_FLIGHT = "in_flight"
    REVIEW = "review"
    DONE = "done"
    BLOCKED = "blocked"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = frozenset({TaskState.PLANNING, TaskState.IN_FLIGHT, TaskState.REVIEW})
"""A task's states in which its current step is under way."""

ENDED = frozenset({TaskState.DONE, TaskState.CANCELLED})


class SessionState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"
    TERMINATING = "terminating"
    TERMINATED = "terminated"


class SessionOutcome(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"
    KILLED = "killed"
    STUCK = "stuck"
    LOST = "lost"


class AttemptState(StrEnum):
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


class IterationState(StrEnum):
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    KILLED = "killed"


class QaState(StrEnum):
    PENDING = "pending"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class GateKind(StrEnum):
    REVIEW = "review"
    PERMISSION = "permission"
    QUESTION = "question"
    MERGE = "merge"
    BUDGET = "budget"


class GateState(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    ANSWERED = "answered"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class WorktreeState(StrEnum):
    CREATING = "creating"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    MERGING = "merging"
    ARCHIVED = "archived"
    CLEANING = "cleaning"
    GONE = "gone"


class IntakeState(StrEnum):
    STORED = "stored"
    EXECUTED = "executed"
    REFUSED = "refused"


class DeliveryState(StrEnum):
    OWED = "owed"
    SENT = "sent"
    DROPPED = "dropped"


class Severity(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Priority(IntEnum):
    LOW = 0
    MEDIUM = 1
    HIGH = 2
    URGENT = 3


COMPLEXITIES = ("xs", "s", "m", "l", "xl")


class Role(IntEnum):
    """What a person may do; each role holds those below it."""

    NOBODY = 0
    VIEWER = 1
    OPERATOR = 2
    APPROVER = 3
    ADMIN = 4


class StepKind(StrEnum):
    AGENT = "agent"
    GATE = "gate"
    CHECK = "check"
    FORGE = "forge"


class AgentRole(StrEnum):
    DIRECTOR = "director"
    WORKER = "worker"
    STEWARD = "steward"


def task_ref(task_id: int) -> str:
    """A task's id as people see it: `TASK-042`."""
    return f"TASK-{task_id:03d}"


def gate_ref(gate_id: int) -> str:
    """A gate's id as people see it: `G-17`."""
    return f"G-{gate_id}"


@dataclass(frozen=True, slots=True)
class Repo:
    """A repository that tasks work on. `source` is a path or URL; `check` a command line."""

    name: str
    source: str
    branch: str = "main"
    check: str | None = None
    forge: str = "local"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a workflow. `outcomes` maps an outcome's name to the next step's id,
    or to `done` or `failed`."""

    id: str
    kind: StepKind
    outcomes: Mapping[str, str]
    name: str = ""
    type: str = "any"
    state: TaskState = TaskState.IN_FLIGHT
    prompt: str | None = None
    session: str | None = None
    fresh: bool = False
    writes_code: bool = False
    input: str | None = None
    output: str | None = None
    artifact: str | None = None
    command: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    name: str
    title: str
    steps: tuple[Step, ...]

    def step(self, step_id: str) -> Step:
        """The step of that id; KeyError when the workflow has none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)


@dataclass(frozen=True, slots=True)
class Agent:
    """A registered worker as configured; its status is derived from sessions, never stored."""

    name: str
    driver: str
    sandbox: str = "host"
    role: AgentRole = AgentRole.WORKER
    types: tuple[str, ...] = ()
    mode: str = "ephemeral"
    model: str | None = None
    account: str | None = None
    skills: frozenset[str] = frozenset()
    languages: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    max_concurrent_tasks: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True

    def does(self, step_type: str) -> bool:
        """Whether this agent takes steps of that type (no types given: every type but a director's)."""
        if self.role is not AgentRole.WORKER:
            return step_type in self.types
        return not self.types or step_type == "any" or step_type in self.types


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
    """

    base: str
    head: str
    patch_id: str
    files: tuple[FileChange, ...]
    marked: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.files


@dataclass(frozen=True, slots=True)
class Task:
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

    @property
    def ref(self) -> str:
        return task_ref(self.id)


@dataclass(frozen=True, slots=True)
class Session:
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

    @property
    def ref(self) -> str:
        return gate_ref(self.id)


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `seq` is 0 until it is stored; `text` is a sentence for people."""

    type: str
    text: str = ""
    severity: Severity = Severity.INFO
    task_id: int | None = None
    agent: str | None = None
    session_id: str | None = None
    gate_id: int | None = None
    run_id: int | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0
    at: int = 0


class AgentEventKind(StrEnum):
    """What an agent may say, whatever its driver. See `AgentEvent` for each one's data."""

    STARTED = "started"
    TEXT = "text"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    FILE_CHANGE = "file_change"
    USAGE = "usage"
    PERMISSION_REQUEST = "permission_request"
    QUESTION = "question"
    ERROR = "error"
    LIMIT = "limit"
    OUTCOME = "outcome"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """One thing an agent said or did, translated at the wall.

    `text` is what a person reads. `data` by kind: started `{driver_session, model}` ·
    tool_call `{id, name, input}` · tool_result `{id, is_error}` · file_change
    `{path, added, removed}` · usage `{tokens_in, tokens_out, cost_usd}` (what this session
    process has used so far, not a difference) · permission_request `{request, tool, input}` ·
    question `{request, questions: [{question, options: [label]}]}` · limit `{reset_at}` (ms,
    or None) · outcome `{name}` · finished `{ok, error}` (the driver's verdict; `text` is the
    agent's closing words).
    """

    kind: AgentEventKind
    text: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a platform and that platform's immutable user id. Never a display name."""

    platform: str
    user_id: str
    name: str = ""

    @property
    def key(self) -> str:
        return f"{self.platform}:{self.user_id}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was said. `reply_to` is the id of the message it answers."""

    platform: str
    chat: str
    message: str | None = None
    thread: str | None = None
    reply_to: str | None = None
    private: bool = True
