"""A data folder as a busy day leaves it: tasks in every state, sessions, gates and logs."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.days import day_of
from core.model import Event, Severity, gate_ref, task_ref
from core.store.database import Store, Tx

START = 1_790_000_000_000
"""When the first thing happens (ms)."""

WORDS = ("Speed up the import", "Name the columns of the export", "Retry on a closed socket",
         "Show the empty state", "Sort the invoice lines", "Cache the exchange rates",
         "Add a greeting", "Warn before the disk is full", "Split the settings page",
         "Write down the backup steps", "Drop the unused table", "Round prices half to even")
CREW = ("coder-1", "coder-2", "reviewer", "shell")
LINES = (
    ("out", "text", "Reading importer.py to see where the time goes."),
    ("out", "tool_call", "Read importer.py"),
    ("out", "tool_result", "412 lines"),
    ("out", "tool_call", "Bash python -m cProfile -s cumtime bench/import.py"),
    ("out", "tool_result", "  ncalls  tottime  cumtime\n   10000   31.204   38.911 parse_row"),
    ("out", "text", "The parser compiles its pattern for every row; once is enough."),
    ("out", "file_change", "importer.py (+26 −9)"),
    ("err", "text", "DeprecationWarning: datetime.utcnow() is deprecated"),
    ("out", "tool_call", "Bash python -m pytest tests/import"),
    ("out", "tool_result", "41 passed in 5.12s"),
    ("mark", "text", "Committed 3fa91c2: Compile the row pattern once"),
)


class Clock:
    """Stands still until it is told to go on."""

    def __init__(self, at: int = START) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def go(self, seconds: float) -> None:
        self.at += int(seconds * 1000)


@dataclass
class Filled:
    """The folder, its clock, and the ids by state."""

    folder: Path
    clock: Clock
    tasks: dict[str, list[int]] = field(default_factory=dict)
    sessions: dict[int, str] = field(default_factory=dict)


STATES = ("done",) * 5 + ("in_flight", "in_flight", "review", "blocked", "failed", "ready",
                          "ready", "ready", "inbox", "planning", "cancelled")
LATER = ("done",) * 5 + ("cancelled",)


async def fill(folder: Path, tasks: int = 24, lines: int = 30, seed: int = 7,
               clock: Clock | None = None) -> Filled:
    """Make the database of a busy day with that many tasks, and close it."""
    filled = Filled(folder, clock or Clock())
    store = await Store(folder, filled.clock.now).open()
    try:
        rng = random.Random(seed)
        for chunk in range(0, tasks, 500):
            logs: list[dict[str, Any]] = []
            await store.write(lambda tx, first=chunk, logs=logs: _some(
                tx, filled, rng, first, min(500, tasks - first), lines, logs))
            await store.logs.write(lambda tx, logs=logs: _write_lines(tx, logs))
    finally:
        await store.close()
    return filled


async def change(filled: Filled, ids: list[int], seconds: float = 5) -> None:
    """Something is said of each of those tasks: an event, and with it a new revision."""
    filled.clock.go(seconds)
    store = await Store(filled.folder, filled.clock.now).open()
    try:
        await store.write(lambda tx: [tx.emit(Event(
            "task.progress", f"{task_ref(task)}: half way", task_id=task)) for task in ids])
    finally:
        await store.close()


async def say(filled: Filled, session: str, texts: list[str], first: int = 900_000) -> None:
    """Lines in a session's log, without any event."""
    store = await Store(filled.folder, filled.clock.now).open()
    rows = [_line(session, first + n, "out", "text", text, filled.clock.now())
            for n, text in enumerate(texts)]
    try:
        await store.logs.write(lambda tx: _write_lines(tx, rows))
    finally:
        await store.close()


async def remove(filled: Filled, task: int) -> None:
    """Delete a task, as `/delete` does."""
    store = await Store(filled.folder, filled.clock.now).open()

    def act(tx: Tx) -> None:
        tx.run("DELETE FROM tasks WHERE id = ?", (task,))
        tx.emit(Event("task.deleted", f"{task_ref(task)} deleted", task_id=task))

    try:
        await store.write(act)
    finally:
        await store.close()


def _some(tx: Tx, filled: Filled, rng: random.Random, first: int, n: int, lines: int,
          logs: list[dict[str, Any]]) -> None:
    for number in range(first, first + n):
        filled.clock.go(rng.randint(40, 400))
        tx.now = filled.clock.now()
        state = STATES[number % len(STATES)] if number < 64 else rng.choice(LATER)
        _task(tx, filled, rng, number, state, lines, logs)


def _task(tx: Tx, filled: Filled, rng: random.Random, number: int, state: str, lines: int,
          logs: list[dict[str, Any]]) -> None:
    title = WORDS[number % len(WORDS)]
    begun = state in ("done", "in_flight", "review", "blocked", "failed", "planning")
    ended = state in ("done", "cancelled")
    task = tx.insert(
        "tasks", title=title, slug=title.lower().replace(" ", "-"), state=state,
        description=f"{title}: the CSV import takes 40 s for 10k rows.\nProfile it, fix the worst.",
        priority=rng.choice((0, 1, 1, 1, 2, 3)), workflow="quick", step="work", repo="shop",
        lane=rng.choice((None, "import", "web")), begun=int(begun), created_at=tx.now,
        updated_at=tx.now, assignee="coder-2" if state == "ready" and number % 3 else None,
        run_command="sh -c 'echo hello > greeting.txt'" if number % 5 == 4 else None,
        failure="exit status 2" if state == "failed" else None,
        ended_at=tx.now + 540_000 if ended else None,
        change=json.dumps(CHANGE) if state in ("done", "review") else None,
        head_commit="3fa91c2" + "0" * 33 if state in ("done", "review") else None,
        merge_commit="9d2c114" + "0" * 33 if state == "done" else None,
        branch=f"task-{number + 1}", created_by="ann")
    filled.tasks.setdefault(state, []).append(task)
    tx.emit(Event("task.added", f"ann added {task_ref(task)} · {title}", task_id=task))
    tx.insert("task_labels", task_id=task, kind="tag", value="speed")
    tx.insert("criteria", task_id=task, position=1, text="`python -m pytest tests/import`",
              command="python -m pytest tests/import", state="passed" if ended else "open")
    if state == "blocked":
        tx.insert("task_reasons", task_id=task, reason="question")
    if begun:
        _session(tx, filled, rng, task, state, lines, logs)
    if state == "done":
        tx.emit(Event("task.completed", f"{task_ref(task)} done · merged to main", task_id=task))
    if state == "failed":
        tx.emit(Event("task.failed", f"{task_ref(task)} failed: exit status 2",
                      Severity.ERROR, task_id=task))


CHANGE = {"base": "b" * 40, "head": "3fa91c2" + "0" * 33, "patch_id": "p" * 40, "marked": [],
          "files": [{"path": "importer.py", "added": 26, "removed": 9},
                    {"path": "tests/import/test_speed.py", "added": 31, "removed": 0}]}


def _session(tx: Tx, filled: Filled, rng: random.Random, task: int, state: str, lines: int,
             logs: list[dict[str, Any]]) -> None:
    session, agent = f"work-{rng.randrange(16**8):08x}", rng.choice(CREW)
    live = state in ("in_flight", "planning", "blocked")
    over = not live and state != "review"
    filled.sessions[task] = session
    tx.insert("sessions", id=session, task_id=task, step="work", agent=agent, driver="claude",
              sandbox="host", state="running" if live else "terminated" if over else "suspended",
              outcome=({"failed": "failed"}.get(state, "completed") if over else None),
              worktree=f"data/sessions/{session}/workspace", worktree_state="active",
              tokens_in=rng.randint(9_000, 90_000), tokens_out=rng.randint(900, 9_000),
              cost_usd=round(rng.uniform(0.05, 1.4), 2), tool_calls=rng.randint(3, 40),
              created_at=tx.now, started_at=tx.now + 1_000, branch=f"task-{task}",
              last_activity_at=tx.now + 60_000, ended_at=tx.now + 540_000 if over else None)
    tx.run("INSERT INTO budgets (scope, key, cost_usd, updated_at) "
           "SELECT 'day', ?, cost_usd, ? FROM sessions WHERE id = ? "
           "ON CONFLICT DO UPDATE SET cost_usd = budgets.cost_usd + excluded.cost_usd",
           (day_of(tx.now, "UTC"), tx.now, session))
    tx.insert("attempts", session_id=session, number=1, state="running" if live else "ended",
              exit_status=None if live else (2 if state == "failed" else 0),
              started_at=tx.now + 1_000, ended_at=None if live else tx.now + 500_000)
    turn = "running" if live else {"failed": "failed"}.get(state, "completed")
    if state == "blocked":
        turn = "waiting"
    tx.insert("iterations", session_id=session, number=1, attempt=1, state=turn, cause="first",
              prompt="Profile the import, fix the worst.", started_at=tx.now + 1_000,
              qa="pending" if live else "failed" if state == "failed" else "passed",
              summary=None if live else "The parser compiled its pattern for every row; "
              "it is compiled once now.", ended_at=None if live else tx.now + 500_000)
    if not live:
        tx.insert("qa_results", session_id=session, iteration=1, judged_by="bullpen",
                  result="failed" if state == "failed" else "passed", created_at=tx.now + 510_000,
                  findings=json.dumps([{"command": "pytest tests/import", "passed": False,
                                        "said": "2 failed"}] if state == "failed"
                                      else []))
    tx.emit(Event("session.started", f"{agent} started on {task_ref(task)}", task_id=task,
                  agent=agent, session_id=session))
    logs += [_line(session, n, *LINES[n % len(LINES)], tx.now + n * 900) for n in range(lines)]
    if state in ("review", "done"):
        _gate(tx, task, session, "review", state == "done", agent)
    if state == "blocked":
        _gate(tx, task, session, "question", False, agent)


def _gate(tx: Tx, task: int, session: str, kind: str, decided: bool, agent: str) -> None:
    titles = {"review": f"{task_ref(task)} is ready for you",
              "question": "Which rounding do invoices use?"}
    bodies = {"review": "importer.py +26 −9\ntests/import/test_speed.py +31",
              "question": "Half to even, or half up? The tests cover neither."}
    gate = tx.insert(
        "gates", kind=kind, state="approved" if decided else "open", task_id=task,
        session_id=session, agent=agent, title=titles[kind], body=bodies[kind], step="work",
        options=json.dumps(["half to even", "half up"] if kind == "question" else []),
        opened_at=tx.now + 520_000, answered_at=tx.now + 530_000 if decided else None,
        answered_by="telegram:7" if decided else None, answered_name="Ann" if decided else None,
        answered_place="telegram:7" if decided else None)
    tx.emit(Event("gate.opened", f"{gate_ref(gate)} {titles[kind]}", Severity.WARNING,
                  task_id=task, agent=agent, session_id=session, gate_id=gate))
    if decided:
        tx.emit(Event("gate.approved", f"Ann approved {gate_ref(gate)} ({task_ref(task)})",
                      task_id=task, session_id=session, gate_id=gate))


def _line(session: str, n: int, stream: str, kind: str, text: str, at: int) -> dict[str, Any]:
    return {"session_id": session, "attempt": 1, "iteration": 1, "position": n, "part": 0,
            "stream": stream, "kind": kind, "text": text, "at": at}


def _write_lines(tx: Tx, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        tx.insert("lines", **row)


if __name__ == "__main__":
    import sys

    asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 24))
