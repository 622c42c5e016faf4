"""A run under way, as a data folder holds it: some waves are through, one is at work."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

from core.model import Event, Severity, run_ref, task_ref
from core.store.database import Store, Tx
from tests.fakes.filled import CHANGE, LINES, WORDS, Filled, _line, _write_lines

SIZES = (8, 9, 8, 7, 5, 3)
"""How many tasks each wave has."""
NOW = ("in_flight", "done", "done", "in_flight", "review", "blocked", "failed", "ready")
"""How the tasks of the wave at work stand."""
CREW = ("coder-1", "coder-2", "reviewer", "shell")


@dataclass
class FilledRun:
    """The run's number, and its tasks by wave. `chain` holds the first task of each wave, each
    of which needs the one before it."""

    id: int = 0
    waves: list[list[int]] = field(default_factory=list)
    chain: list[int] = field(default_factory=list)
    worked_on: list[int] = field(default_factory=list)

    @property
    def tasks(self) -> list[int]:
        return [task for wave in self.waves for task in wave]


async def add_run(filled: Filled, sizes: tuple[int, ...] = SIZES, at: int = 3,
                  state: str = "running", title: str = "billing", seed: int = 11) -> FilledRun:
    """A run of that many tasks in each wave, in its wave `at`. The last task at work holds
    another back by a collision."""
    run = FilledRun()
    store = await Store(filled.folder, filled.clock.now).open()
    try:
        await store.write(lambda tx: _run(tx, filled, run, sizes, at, state, title,
                                          random.Random(seed)))
        logs = [_line(f"run-{task:08x}", n, *line, filled.clock.now())
                for task in run.worked_on for n, line in enumerate(LINES)]
        await store.logs.write(lambda tx: _write_lines(tx, logs))
    finally:
        await store.close()
    return run


async def work_on(filled: Filled, run: FilledRun, task: int, state: str = "done") -> None:
    """One of its tasks ends, and the run with its wave counts it."""
    filled.clock.go(30)
    store = await Store(filled.folder, filled.clock.now).open()

    def act(tx: Tx) -> None:
        wave = next(n for n, tasks in enumerate(run.waves, 1) if task in tasks)
        tx.run("UPDATE tasks SET state = ?, ended_at = ?, run_id = NULL, held = NULL WHERE id = ?",
               (state, tx.now if state in ("done", "cancelled") else None, task))
        tx.run("UPDATE run_tasks SET outcome = ? WHERE task_id = ?", (state, task))
        tx.run("UPDATE waves SET open = open - 1 WHERE run_id = ? AND number = ?", (run.id, wave))
        counted = "done" if state == "done" else "failed"
        tx.run(f"UPDATE runs SET {counted} = {counted} + 1 WHERE id = ?", (run.id,))
        tx.emit(Event("task.completed" if state == "done" else f"task.{state}",
                      f"{task_ref(task)} {state}", task_id=task, run_id=run.id))

    try:
        await store.write(act)
    finally:
        await store.close()


def _run(tx: Tx, filled: Filled, run: FilledRun, sizes: tuple[int, ...], at: int, state: str,
         title: str, rng: random.Random) -> None:
    begun = tx.now - 5_400_000
    over = state in ("completed", "failed", "cancelled")
    run.id = tx.insert(
        "runs", title=title, lane=title, state=state, wave=at, waves=len(sizes), total=sum(sizes),
        budget_usd=25.0, created_by="ann", created_at=begun, started_at=begun,
        ended_at=tx.now if over else None)
    for number, size in enumerate(sizes, 1):
        states = [_state(number, n, at) for n in range(size)]
        if state == "paused" and number == at:
            states[0] = "failed"
        run.waves.append([_task(tx, filled, run, number, n, one, begun, rng)
                          for n, one in enumerate(states)])
        run.chain.append(run.waves[-1][0])
        _needs(tx, run, number, rng)
    _counted(tx, run, at, state, begun)
    _spent(tx, run)
    _bound(tx, run, at)
    tx.emit(Event("run.started", f"{run_ref(run.id)} started: {sum(sizes)} tasks in "
                  f"{len(sizes)} waves", run_id=run.id))
    if at > 1:
        tx.emit(Event("wave.completed", f"{run_ref(run.id)}: wave {at - 1} of {len(sizes)} is "
                      "through", run_id=run.id))
    if state == "paused":
        failed = run.waves[at - 1][0]
        tx.run("UPDATE runs SET because = ? WHERE id = ?", (failed, run.id))
        tx.emit(Event("run.paused", f"{run_ref(run.id)} is paused: {task_ref(failed)} failed, and "
                      "later tasks need it", Severity.CRITICAL, task_id=failed, run_id=run.id))


def _state(wave: int, n: int, at: int) -> str:
    if wave < at:
        return "failed" if (wave, n) == (2, 5) else "cancelled" if (wave, n) == (2, 6) else "done"
    if wave == at:
        return NOW[n % len(NOW)]
    return "blocked" if n < 5 else "ready"


def _task(tx: Tx, filled: Filled, run: FilledRun, wave: int, n: int, state: str, begun: int,
          rng: random.Random) -> int:
    title = f"{WORDS[(wave * 5 + n) % len(WORDS)]} ({title_of(wave, n)})"
    started = begun + (wave - 1) * 1_500_000 + n * 60_000
    ended = started + rng.randint(300_000, 1_200_000)
    tried = state not in ("blocked", "ready") or (state == "blocked" and "question" in title)
    over = state in ("done", "cancelled")
    cost, agent = round(rng.uniform(0.1, 0.9), 2) if tried else 0.0, rng.choice(CREW)
    task = tx.insert(
        "tasks", title=title, slug="task", state=state, priority=rng.choice((1, 1, 1, 2)),
        workflow="quick", step="review" if state == "review" else "work", repo="shop",
        lane="billing", created_by="ann", created_at=begun - 60_000, updated_at=started,
        run_id=run.id, wave=wave, held="wave" if state == "ready" else None, begun=int(tried),
        started_at=started if tried else None, ended_at=ended if over else None,
        assignee=agent if tried else None, tokens=41_000 if tried else 0, cost_usd=cost,
        failure="exit status 2" if state == "failed" else None, budget_usd=1.5,
        change=json.dumps(CHANGE) if state in ("done", "review") else None,
        head_commit="3fa91c2" + "0" * 33 if state in ("done", "review") else None,
        merge_commit="9d2c114" + "0" * 33 if state == "done" else None)
    filled.tasks.setdefault(state, []).append(task)
    tx.insert("run_tasks", run_id=run.id, task_id=task, wave=wave,
              outcome=state if state in ("done", "failed", "cancelled") else None)
    tx.emit(Event("task.added", f"ann added {task_ref(task)} · {title}", task_id=task))
    if tried and state != "cancelled":
        _session(tx, task, state, started, ended, cost, agent)
        run.worked_on.append(task)
    if state in ("done", "review"):
        _receipts(tx, task, ended, cost)
    if state == "review":
        _asked(tx, task)
    return task


def title_of(wave: int, n: int) -> str:
    """A part of the title that tells one task from the others."""
    return f"part {wave}.{n + 1}"


def _session(tx: Tx, task: int, state: str, started: int, ended: int, cost: float,
             agent: str) -> None:
    over = state in ("done", "failed")
    tx.insert("sessions", id=f"run-{task:08x}", task_id=task, step="work",
              agent=agent, driver="claude", sandbox="host", cost_usd=cost,
              state="terminated" if over else "suspended" if state == "review" else "running",
              outcome={"done": "completed", "failed": "failed"}.get(state),
              worktree=f"data/sessions/run-{task:08x}/workspace", worktree_state="active",
              tokens_in=37_000, tokens_out=4_000, tool_calls=3 + task % 37, model="opus",
              created_at=started, started_at=started, ended_at=ended if over else None)
    tx.emit(Event("session.started", f"Work on {task_ref(task)} began", Severity.DEBUG,
                  task_id=task, session_id=f"run-{task:08x}"))


def _asked(tx: Tx, task: int) -> None:
    tx.insert("gates", kind="review", state="open", task_id=task, session_id=f"run-{task:08x}",
              step="review", title=f"{task_ref(task)} is ready for you", opened_at=tx.now,
              body="importer.py +26 −9\ntests/import/test_speed.py +31")
    tx.insert("artifacts", task_id=task, name="plan.md", version=1, author="coder-1",
              sha256="a" * 64, size=1_204, created_at=tx.now)
    tx.insert("artifacts", task_id=task, name="plan.md", version=2, author="Ann",
              sha256="c" * 64, size=1_377, created_at=tx.now)


def _receipts(tx: Tx, task: int, at: int, cost: float) -> None:
    """One that counts no more, and the one that does."""
    checks = [{"command": "python -m pytest tests/import", "passed": True, "said": "41 passed",
               "criterion": 1, "tests_passed": 41, "tests_failed": 0, "tests_skipped": 2,
               "duration_ms": 5_120}]
    broken = [{**checks[0], "passed": False, "said": "E   assert 3 == 4\n2 failed, 39 passed",
               "tests_passed": 39, "tests_failed": 2}]
    common = {"task_id": task, "base": "b" * 40, "files": 2, "added": 57, "removed": 9,
              "duration_ms": 8_300, "tokens": 41_000, "cost_usd": cost}
    tx.insert("receipts", commit_id="7be0a41" + "0" * 33, patch_id="o" * 40, result="failed",
              checks=json.dumps(broken), passed=39, failed=2, skipped=2, created_at=at - 300_000,
              stale_at=at - 60_000, stale_why="the change is another by now", **common)
    tx.insert("receipts", commit_id="3fa91c2" + "0" * 33, patch_id="p" * 40, result="passed",
              checks=json.dumps(checks), passed=41, failed=0, skipped=2, created_at=at, **common)


def _needs(tx: Tx, run: FilledRun, wave: int, rng: random.Random) -> None:
    if wave == 1:
        return
    before = run.waves[wave - 2]
    for n, task in enumerate(run.waves[wave - 1]):
        if n > 4:
            continue
        for needed in {before[0 if n == 0 else rng.randrange(len(before))]}:
            tx.insert("dependencies", task_id=task, needs_id=needed)
            if tx.value("SELECT state FROM tasks WHERE id = ?", (needed,)) != "done":
                tx.run("UPDATE tasks SET unmet = unmet + 1 WHERE id = ?", (task,))
        if tx.value("SELECT state FROM tasks WHERE id = ?", (task,)) == "blocked":
            tx.run("INSERT OR IGNORE INTO task_reasons VALUES (?, 'dependency')", (task,))


def _counted(tx: Tx, run: FilledRun, at: int, state: str, begun: int) -> None:
    """The waves, and what the run counts."""
    ended = ("done", "failed", "cancelled")
    for number, tasks in enumerate(run.waves, 1):
        left = sum(tx.value("SELECT state FROM tasks WHERE id = ?", (task,)) not in ended
                   for task in tasks)
        word = "completed" if number < at else state if number == at else "pending"
        tx.insert("waves", run_id=run.id, number=number, state=word, total=len(tasks), open=left,
                  started_at=begun + (number - 1) * 1_500_000 if number <= at else None,
                  ended_at=begun + number * 1_500_000 if number < at else None)
    tx.run("UPDATE runs SET done = (SELECT count(*) FROM run_tasks WHERE run_id = id AND "
           "outcome = 'done'), failed = (SELECT count(*) FROM run_tasks WHERE run_id = id AND "
           "outcome IN ('failed', 'cancelled')), cost_usd = (SELECT total(cost_usd) FROM tasks "
           "WHERE run_id = runs.id), tokens = (SELECT sum(tokens) FROM tasks WHERE "
           "run_id = runs.id) WHERE id = ?", (run.id,))


def _spent(tx: Tx, run: FilledRun) -> None:
    """What it cost, as it is kept by run, task, agent and day; how its sessions ended."""
    day = datetime.fromtimestamp(tx.now / 1000, UTC).strftime("%Y-%m-%d")
    for scope, key, which in (("run", f"'{run.id}'", "1"), ("day", f"'{day}'", "1"),
                              ("agent", f"s.agent || ' {day}'", "1"),
                              ("task", "cast(t.id AS TEXT)", "s.state <> 'terminated'")):
        tx.run(f"INSERT INTO budgets (scope, key, tokens, cost_usd, updated_at) "
               f"SELECT '{scope}', {key}, sum(t.tokens), total(t.cost_usd), ? FROM tasks t "
               f"JOIN sessions s ON s.task_id = t.id WHERE t.run_id = ? AND {which} GROUP BY 2 "
               "ON CONFLICT DO UPDATE SET tokens = budgets.tokens + excluded.tokens, "
               "cost_usd = budgets.cost_usd + excluded.cost_usd", (tx.now, run.id))
    tx.run("INSERT INTO records SELECT agent, 'billing', sum(outcome = 'completed'), "
           "sum(outcome <> 'completed') FROM sessions JOIN tasks ON tasks.id = task_id "
           "WHERE run_id = ? AND outcome IS NOT NULL GROUP BY 1 ON CONFLICT DO UPDATE SET "
           "completed = completed + excluded.completed", (run.id,))


def _bound(tx: Tx, run: FilledRun, at: int) -> None:
    """What holds tasks of the wave at work: a question, another task with the same files."""
    here = run.waves[at - 1]
    under_way = tx.value("SELECT max(id) FROM tasks WHERE run_id = ? AND state = 'in_flight'",
                         (run.id,))
    tx.run("UPDATE tasks SET held = 'collision', held_by = ? WHERE run_id = ? AND wave = ? AND "
           "state = 'ready'", (under_way, run.id, at))
    for task in here:
        if tx.value("SELECT state FROM tasks WHERE id = ?", (task,)) == "blocked":
            tx.run("DELETE FROM task_reasons WHERE task_id = ?", (task,))
            tx.insert("task_reasons", task_id=task, reason="question")
        tx.insert("task_labels", task_id=task, kind="touches", value="shop/billing/**")
