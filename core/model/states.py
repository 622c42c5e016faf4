"""The words for states, and other closed sets of words."""

from __future__ import annotations

from enum import IntEnum, StrEnum


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


class RunState(StrEnum):
    PLANNED = "planned"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class WaveState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


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


def run_ref(run_id: int) -> str:
    """A run's id as people see it: `RUN-007`."""
    return f"RUN-{run_id:03d}"
