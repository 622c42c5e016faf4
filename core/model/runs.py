"""Many tasks at once, and what Bullpen itself ran and saw."""

from __future__ import annotations

from dataclasses import dataclass

from core.model.states import RunState, WaveState, run_ref


@dataclass(frozen=True, slots=True)
class Run:
    """A set of tasks executed in dependency order. `wave` is the one under way (0: none yet),
    `waves` how many there are. `failed` counts the cancelled too. `because`: the failed task
    that paused it; `paused_by`: the person who did."""

    id: int
    title: str
    state: RunState
    waves: int
    total: int
    created_by: str
    created_at: int
    lane: str | None = None
    because: int | None = None
    paused_by: str | None = None
    wave: int = 0
    done: int = 0
    failed: int = 0
    budget_tokens: int | None = None
    budget_usd: float | None = None
    tokens: int = 0
    cost_usd: float = 0.0
    started_at: int | None = None
    ended_at: int | None = None
    revision: int = 0

    @property
    def ref(self) -> str:
        return run_ref(self.id)


@dataclass(frozen=True, slots=True)
class Wave:
    """A topological level of a run. `open`: how many of its tasks have not ended."""

    run_id: int
    number: int
    state: WaveState
    total: int
    open: int
    started_at: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One command that Bullpen ran: whether it passed, the end of what it printed, the tests
    it counted (None where it prints no counts), and how long it took. `criterion` is the
    position of the acceptance criterion that it checks."""

    command: str
    passed: bool
    said: str
    criterion: int | None = None
    tests_passed: int | None = None
    tests_failed: int | None = None
    tests_skipped: int | None = None
    duration_ms: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What Bullpen itself ran and saw at a commit, in a clean checkout. `stale_why`: it counts
    no more, and why."""

    id: int
    task_id: int
    commit_id: str
    base: str
    patch_id: str
    result: str
    checks: tuple[Check, ...]
    duration_ms: int
    created_at: int
    session_id: str | None = None
    passed: int | None = None
    failed: int | None = None
    skipped: int | None = None
    files: int = 0
    added: int = 0
    removed: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    stale_at: int | None = None
    stale_why: str | None = None
