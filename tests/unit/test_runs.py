"""A run's waves, counts and pauses, as its tasks move: directly, without processes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import acts, runs
from core.acts import editing
from core.errors import BullpenError, Refused, Unclear
from core.house import House
from core.lifecycle import Act
from core.model import ACTIVE, Run, RunState, Severity, Task, TaskState, WaveState
from core.planning.overlap import overlap
from core.store import claims, clashes, files, needs, tasks
from core.store import runs as stored
from core.store.database import Tx, connect
from core.store.tasks import NewTask
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, house

T = TaskState
OVER = (T.DONE, T.FAILED, T.CANCELLED)


@dataclass
class Scene:
    """A transaction that is never committed, and a house around it."""

    tx: Tx
    house: House

    def add(self, *after: int, lane: str | None = "import", draft: bool = False,
            touches: Sequence[str] = ()) -> int:
        return tasks.add(self.tx, NewTask(
            "Work", "quick", "work", lane=lane, repo="shop", after=tuple(after), draft=draft,
            labels=tuple(("touches", glob) for glob in touches))).id

    def go(self, lane: str | None = "import", *ids: int) -> Run:
        wanted = runs.Wanted(None if ids else lane, ids)
        return runs.begin(self.tx, runs.plan(self.tx, self.house, wanted), ANN)

    def task(self, task_id: int) -> Task:
        return tasks.get(self.tx, task_id)

    def run(self, run_id: int = 1) -> Run:
        return stored.get(self.tx, run_id)

    def claimable(self) -> list[int]:
        return [row[0] for row in self.tx.all(
            "SELECT id FROM tasks WHERE state = 'ready' AND held IS NULL ORDER BY id")]

    def begin(self, task_id: int) -> Task:
        claims.claim(self.tx, task_id, "coder", T.IN_FLIGHT)
        return self.task(task_id)

    def finish(self, task_id: int, to: TaskState = T.DONE) -> None:
        if self.task(task_id).state is T.READY:
            self.begin(task_id)
        if to is T.FAILED:
            tasks.fail(self.tx, self.task(task_id), "no")
        else:
            tasks.move(self.tx, self.task(task_id), to)

    def end(self, task_id: int, act: Act) -> None:
        acts.end(self.tx, self.house, self.task(task_id), act, ANN, "so")

    def retry(self, task_id: int) -> None:
        acts.retry(self.tx, self.house, self.task(task_id), "")

    def reopen(self, task_id: int) -> None:
        acts.reopen(self.tx, self.house, self.task(task_id))

    def told(self, *types: str) -> list[str]:
        return [event.text for event in self.tx.events if event.type in types]

    def waves(self, run_id: int = 1) -> list[str]:
        return [row[0] for row in self.tx.all(
            "SELECT state FROM waves WHERE run_id = ? ORDER BY number", (run_id,))]


@contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    path = folder / "bullpen.db"
    with closing(connect(path, schema="state")) as db:
        db.execute("BEGIN")
        yield Scene(Tx(db, FakeClock().now()), house(None, folder))  # type: ignore[arg-type]
        db.execute("ROLLBACK")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as found:
        yield found


# -- from wave to wave -------------------------------------------------------------------------


def test_a_wave_begins_when_all_of_the_one_before_have_ended(here: Scene) -> None:
    a, b = here.add(), here.add()
    c, d = here.add(a), here.add(b)
    run = here.go()
    assert (run.state, run.wave, run.waves, run.total) == (RunState.RUNNING, 1, 2, 4)
    assert here.claimable() == [a, b]
    here.finish(a)
    assert here.task(c).held == "wave" and here.claimable() == [b]
    here.finish(b)
    assert here.run().wave == 2 and here.claimable() == [c, d]
    assert here.waves() == ["completed", "running"]
    here.finish(c)
    here.finish(d)
    run = here.run()
    assert (run.state, run.done, run.failed) == (RunState.COMPLETED, 4, 0)
    assert here.told("run.completed") == ["RUN-001 is done: 4 of 4 done"]
    assert {here.task(n).run_id for n in (a, b, c, d)} == {None}
    assert [row[0] for row in here.tx.all("SELECT outcome FROM run_tasks")] == ["done"] * 4


def test_what_is_in_the_inbox_joins_ready_or_blocked(here: Scene) -> None:
    a = here.add(draft=True)
    b = here.add(a, draft=True)
    here.go()
    assert (here.task(a).state, here.task(b).state) == (T.READY, T.BLOCKED)
    assert here.claimable() == [a]
    here.finish(a)
    assert here.claimable() == [b]


def test_what_is_under_way_joins_its_wave(here: Scene) -> None:
    a = here.add()
    here.begin(a)
    b = here.add(a)
    here.go()
    assert here.task(a).wave == 1 and here.run().wave == 1
    here.finish(a)
    assert here.claimable() == [b]


def test_tasks_added_later_do_not_join(here: Scene) -> None:
    a = here.add()
    here.go()
    later = here.add()
    assert here.task(later).run_id is None and here.claimable() == [a, later]


def test_a_chain_of_a_thousand(here: Scene) -> None:
    first = here.add(draft=True)
    for n in range(first, first + 999):
        here.add(n, draft=True)
    before = len(here.tx.events)
    run = here.go()
    assert (run.waves, run.total) == (1000, 1000)
    assert len(here.tx.events) - before == 2, "a run is one event, not a thousand"
    for n in range(first, first + 1000):
        run = here.run()
        assert (run.wave, run.done, here.claimable()) == (n - first + 1, n - first, [n])
        here.finish(n)
    assert here.run().state is RunState.COMPLETED


def test_a_fan_of_a_thousand(here: Scene) -> None:
    root = here.add(draft=True)
    leaves = [here.add(root, draft=True) for _ in range(1000)]
    run = here.go()
    assert (run.waves, run.total, here.claimable()) == (2, 1001, [root])
    here.finish(root)
    assert here.claimable() == leaves
    for number, leaf in enumerate(leaves, 1):
        here.finish(leaf)
        if number < 1000:
            assert here.tx.value("SELECT open FROM waves WHERE number = 2") == 1000 - number
    run = here.run()
    assert (run.state, run.done) == (RunState.COMPLETED, 1001)


def test_a_failing_root_of_a_fan_pauses_once(here: Scene) -> None:
    root = here.add()
    leaves = [here.add(root) for _ in range(1000)]
    here.go()
    here.finish(root, T.FAILED)
    (said,) = here.told("run.paused")
    assert said == ("RUN-001 is paused: TASK-001 failed, and TASK-002 and 999 more need it. "
                    "/retry 1, /done 1 or /stop RUN-001")
    here.retry(root)
    here.finish(root)
    assert here.claimable() == leaves


# -- failures and repair -----------------------------------------------------------------------


def test_a_failure_that_is_needed_pauses_and_alerts_and_its_repair_goes_on(here: Scene) -> None:
    a, b = here.add(), here.add()
    c = here.add(a)
    here.go()
    here.finish(a, T.FAILED)
    run = here.run()
    assert (run.state, run.because, run.failed) == (RunState.PAUSED, a, 1)
    assert here.waves() == ["failed", "pending"]
    assert here.told("wave.failed") == ["RUN-001: wave 1 of 2 has failed, with TASK-001"]
    alert = next(event for event in here.tx.events if event.type == "run.paused")
    assert alert.severity is Severity.CRITICAL and alert.run_id == 1
    assert here.task(b).held == "run" and here.claimable() == []
    here.retry(a)
    run = here.run()
    assert (run.state, run.because, run.failed) == (RunState.RUNNING, None, 0)
    assert here.waves() == ["running", "pending"] and here.claimable() == [a, b]
    assert here.told("run.resumed")
    here.finish(a)
    here.finish(b)
    assert here.claimable() == [c]


def test_what_runs_goes_on_while_the_run_is_paused(here: Scene) -> None:
    a, b = here.add(), here.add()
    here.add(a)
    here.go()
    here.begin(b)
    here.finish(a, T.FAILED)
    here.finish(b)
    assert (here.run().done, here.run().failed, here.run().wave) == (1, 1, 1)
    here.end(a, Act.DONE)
    run = here.run()
    assert (run.state, run.done, run.failed, run.wave) == (RunState.RUNNING, 2, 0, 2)
    assert here.waves() == ["completed", "running"]


def test_a_failure_that_nothing_needs_pauses_nothing(here: Scene) -> None:
    a, b = here.add(), here.add()
    c = here.add(b)
    here.go()
    here.finish(a, T.FAILED)
    assert here.run().state is RunState.RUNNING and not here.told("run.paused")
    here.finish(b)
    here.finish(c)
    run = here.run()
    assert (run.state, run.done, run.failed) == (RunState.COMPLETED, 2, 1)
    assert here.told("run.completed") == ["RUN-001 is done: 2 of 3 done, 1 failed"]


def test_a_cancelled_task_that_is_needed_pauses_until_its_dependents_go_too(here: Scene) -> None:
    a, b = here.add(), here.add()
    c = here.add(a)
    here.go()
    here.end(a, Act.CANCEL)
    assert here.run().because == a
    assert "was cancelled, and TASK-003 needs it. /reopen 1 or" in here.told("run.paused")[0]
    with pytest.raises(Refused, match="RUN-001 can't go on: TASK-001 was cancelled"):
        runs.resume(here.tx, here.house, here.run(), ANN)
    here.end(c, Act.CANCEL)
    assert here.run().state is RunState.RUNNING and here.claimable() == [b]
    here.finish(b)
    assert (here.run().state, here.run().failed) == (RunState.COMPLETED, 2)


def test_two_failures_both_stand_until_both_are_mended(here: Scene) -> None:
    a, b = here.add(), here.add()
    here.add(a, b)
    here.go()
    here.begin(b)
    here.finish(a, T.FAILED)
    here.finish(b, T.FAILED)
    assert len(here.told("run.paused")) == 2
    here.retry(a)
    assert (here.run().state, here.run().because) == (RunState.PAUSED, b)
    here.end(b, Act.DONE)
    assert here.run().state is RunState.RUNNING and here.claimable() == [a]


def test_a_person_holds_it_until_a_person_lets_go(here: Scene) -> None:
    a, b = here.add(), here.add()
    here.add(a)
    here.go()
    here.begin(a)
    runs.pause(here.tx, here.house, here.run(), ANN)
    assert here.waves() == ["paused", "pending"] and here.claimable() == []
    with pytest.raises(Refused, match="is paused already: /resume RUN-001"):
        runs.pause(here.tx, here.house, here.run(), ANN)
    here.finish(a, T.FAILED)
    here.retry(a)
    assert (here.run().state, here.run().because) == (RunState.PAUSED, None)
    assert here.waves() == ["paused", "pending"]
    runs.resume(here.tx, here.house, here.run(), ANN)
    assert here.waves() == ["running", "pending"] and here.claimable() == [a, b]
    with pytest.raises(Refused, match="is not paused"):
        runs.resume(here.tx, here.house, here.run(), ANN)


def test_a_wave_that_ended_while_paused_is_followed_by_the_next(here: Scene) -> None:
    a = here.add()
    b = here.add(a)
    here.go()
    here.begin(a)
    runs.pause(here.tx, here.house, here.run(), ANN)
    here.finish(a)
    assert here.run().wave == 1 and here.task(b).held == "wave"
    runs.resume(here.tx, here.house, here.run(), ANN)
    assert here.run().wave == 2 and here.claimable() == [b]


def test_waves_of_which_nothing_is_left_are_passed_over(here: Scene) -> None:
    a = here.add()
    b = here.add(a)
    c = here.add(b)
    here.go()
    here.end(b, Act.DONE)
    here.finish(a)
    assert here.run().wave == 3 and here.claimable() == [c]
    assert here.waves() == ["completed", "completed", "running"]


def test_a_done_task_that_is_reopened_counts_again(here: Scene) -> None:
    a, b = here.add(), here.add()
    c = here.add(a)
    here.go()
    here.finish(a)
    here.finish(b)
    assert here.claimable() == [c]
    here.reopen(a)
    run = here.run()
    assert (run.state, run.done, run.wave) == (RunState.RUNNING, 1, 2)
    assert here.claimable() == [a] and here.task(c).state is T.BLOCKED
    assert here.waves() == ["running", "running"]
    here.finish(a)
    assert here.waves() == ["completed", "running"]
    here.finish(c)
    assert (here.run().state, here.run().done) == (RunState.COMPLETED, 3)


def test_what_a_run_needs_from_outside_and_fails_pauses_it(here: Scene) -> None:
    outside = here.add(lane=None)
    here.finish(outside)
    first, other = here.add(outside), here.add()
    here.go()
    here.begin(other)
    here.reopen(outside)
    here.finish(outside, T.FAILED)
    here.finish(other)
    assert (here.run().state, here.run().because) == (RunState.PAUSED, outside)
    (alert,) = here.told("run.paused")
    assert "TASK-001 failed, and TASK-002 needs it. /retry 1" in alert
    with pytest.raises(Refused, match="TASK-001 failed"):
        runs.resume(here.tx, here.house, here.run(), ANN)
    here.retry(outside)
    assert here.run().state is RunState.RUNNING
    here.finish(outside)
    here.finish(first)
    assert here.run().state is RunState.COMPLETED


def test_after_the_run_its_tasks_move_without_it(here: Scene) -> None:
    a, b = here.add(), here.add()
    here.go()
    here.finish(a)
    here.finish(b, T.FAILED)
    here.reopen(a)
    here.retry(b)
    run = here.run()
    assert (run.state, run.done, run.failed) == (RunState.COMPLETED, 1, 1)
    assert here.claimable() == [a, b]


def test_dropping_the_need_lets_a_paused_run_go_on(here: Scene) -> None:
    a, b = here.add(), here.add()
    c = here.add(a)
    here.go()
    here.finish(a, T.FAILED)
    needs.set_needs(here.tx, here.task(c), [])
    assert here.run().state is RunState.RUNNING and here.claimable() == [b]
    here.finish(b)
    assert here.claimable() == [c]


# -- stopping ----------------------------------------------------------------------------------


def test_stop_returns_the_unstarted_and_lets_the_running_finish(here: Scene) -> None:
    a, b = here.add(), here.add()
    c = here.add(a)
    here.go()
    here.begin(a)
    run = runs.stop(here.tx, here.run(), ANN)
    assert run.state is RunState.CANCELLED and here.waves() == ["cancelled", "cancelled"]
    assert [here.task(n).state for n in (a, b, c)] == [T.IN_FLIGHT, T.INBOX, T.INBOX]
    assert not here.tx.all("SELECT 1 FROM tasks WHERE run_id IS NOT NULL OR held IS NOT NULL")
    assert not here.tx.all("SELECT 1 FROM task_reasons")
    assert [row[0] for row in here.tx.all("SELECT outcome FROM run_tasks ORDER BY task_id")] == [
        None, "returned", "returned"]
    here.finish(a)
    assert here.run().done == 0 and here.task(c).unmet == 0
    with pytest.raises(Refused, match="RUN-001 is cancelled already"):
        runs.stop(here.tx, here.run(), ANN)


def test_a_run_stopped_while_a_failure_paused_it_has_failed(here: Scene) -> None:
    a = here.add()
    here.add(a)
    here.go()
    here.finish(a, T.FAILED)
    assert runs.stop(here.tx, here.run(), ANN).state is RunState.FAILED
    assert here.waves() == ["failed", "cancelled"]
    assert here.task(a).state is T.FAILED
    here.retry(a)
    assert here.claimable() == [a]


# -- collisions --------------------------------------------------------------------------------


def test_who_touches_the_same_files_waits_and_it_is_said_why(here: Scene) -> None:
    a = here.add(touches=["src/api/app.py"])
    b = here.add(touches=["src/api/*.py"])
    c = here.add(touches=["docs/"])
    d = here.add(touches=["src/api/app.py"])
    here.go()
    assert here.claimable() == [a, c]
    assert (here.task(b).held, here.task(b).held_by) == ("collision", a)
    assert here.told("task.status_changed") == [
        "TASK-002 waits for TASK-001: both touch src/api/app.py",
        "TASK-004 waits for TASK-001: both touch src/api/app.py"]
    here.finish(a)
    assert here.claimable() == [b, c] and here.task(d).held_by == b
    assert len(here.told("task.status_changed")) == 2, "said once"
    here.finish(b, T.FAILED)
    assert here.claimable() == [c, d]


def test_a_task_that_becomes_ready_again_waits_for_who_has_its_files_now(here: Scene) -> None:
    a = here.add(touches=["x"])
    b = here.add(touches=["x"])
    here.go()
    here.finish(a, T.FAILED)
    here.begin(b)
    here.retry(a)
    assert (here.task(a).held, here.task(a).held_by) == ("collision", b)
    assert "TASK-001 waits for TASK-002: both touch x" in here.told("task.status_changed")
    here.finish(b)
    assert here.claimable() == [a]


def test_a_task_that_waits_for_another_reason_gives_its_files_free(here: Scene) -> None:
    a = here.add(touches=["x"])
    b = here.add(touches=["x"])
    here.go()
    tasks.block(here.tx, here.task(a), "paused")
    assert here.claimable() == [b]
    tasks.lift(here.tx, here.task(a), "paused")
    assert here.task(a).held_by == b


def test_naming_other_files_changes_who_waits(here: Scene) -> None:
    a, b = here.add(touches=["x"]), here.add(touches=["x"])
    c = here.add(touches=["y"])
    here.go()

    def touch(task_id: int, glob: str) -> None:
        editing.edit(here.tx, here.house, here.task(task_id),
                  editing.Edit(labels={"touches": (glob,)}), ANN)

    touch(b, "z")
    assert here.claimable() == [a, b, c]
    touch(c, "x")
    assert here.claimable() == [a, b] and here.task(c).held_by == a
    touch(a, "other")
    assert here.claimable() == [a, b, c]


def test_what_a_lane_tends_to_change_is_learnt(here: Scene) -> None:
    for n in range(3):
        old = here.add()
        files.record(here.tx, here.task(old), ["app/[id].ts", f"only{n}.ts"])
        here.finish(old)
    assert files.learnt(here.tx, "import", "shop") == ("app/[id].ts",)
    a, b = here.add(), here.add()
    c = here.add(touches=["elsewhere"])
    plan = runs.plan(here.tx, here.house, runs.Wanted("import"))
    assert plan.learnt == {a, b} and plan.clashes[b].by == a
    here.go()
    assert here.claimable() == [a, c]
    assert here.told("task.status_changed")[-1].endswith("both touch app/[id].ts")


@pytest.mark.parametrize(("changed", "learnt"), [
    ([["x"]], ()), ([["x"], ["x"]], ("x",)), ([["x"], ["x"], ["y"], ["y"], []], ("x", "y")),
    ([["x"], ["x"], ["a"], ["b"], ["c"]], ()), ([["x", "y"]] * 5 + [["z"]] * 10, ("z",)),
])
def test_learnt_is_what_two_and_half_of_the_last_ten_changed(
    here: Scene, changed: list[list[str]], learnt: tuple[str, ...]
) -> None:
    for number, paths in enumerate(changed):
        old = here.add()
        files.record(here.tx, here.task(old), paths)
        here.tx.now += number
        here.finish(old)
    assert files.learnt(here.tx, "import", "shop") == learnt
    assert files.learnt(here.tx, "import", "other") == ()
    assert files.learnt(here.tx, None, "shop") == ()


# -- what may not be -----------------------------------------------------------------------------


def refused(here: Scene, wanted: runs.Wanted, words: str) -> None:
    before = here.tx.value("SELECT count(*) FROM runs")
    with pytest.raises((Refused, Unclear), match=words):
        runs.begin(here.tx, runs.plan(here.tx, here.house, wanted), ANN)
    assert here.tx.value("SELECT count(*) FROM runs") == before


def test_what_is_missing_is_named_with_what_to_type(here: Scene) -> None:
    a = here.add(lane="other")
    b = here.add(a)
    refused(here, runs.Wanted("import"), "TASK-002 needs TASK-001, which is neither done nor in "
            r"this run: add it \(/edit 1 --lane import\) or /after 2 -1")
    refused(here, runs.Wanted(None, (b,)), r"add it \(/go 2,1\)")
    here.finish(a, T.FAILED)
    refused(here, runs.Wanted("import"), "has failed: /retry 1 first, or /after 2 -1")
    here.end(a, Act.CANCEL)
    refused(here, runs.Wanted("import"), "was cancelled: /reopen 1 first")


def test_nothing_to_run_says_what_there_is(here: Scene) -> None:
    refused(here, runs.Wanted("import"), "No open task on the lane `import`. No lane has any.")
    refused(here, runs.Wanted(), "every task has ended. Add one: /add TITLE")
    a = here.add(lane="docs")
    refused(here, runs.Wanted("import"), "Lanes with open tasks: docs.")
    refused(here, runs.Wanted(None, (9,)), "No task 9")
    here.finish(a, T.FAILED)
    refused(here, runs.Wanted("docs"), "TASK-001 has failed: /retry 1 first")
    here.end(a, Act.DONE)
    refused(here, runs.Wanted(None, (a,)), "TASK-001 is done already")


def test_a_task_is_part_of_one_open_run(here: Scene) -> None:
    a = here.add()
    here.go()
    refused(here, runs.Wanted(ids=(a,)), "TASK-001 is part of RUN-001: /stop RUN-001 first")
    b = here.add(a, lane="other")
    refused(here, runs.Wanted("other"), "TASK-001, which is part of RUN-001")
    here.finish(a)
    assert here.go("other").total == 1 and here.claimable() == [b]


def test_all_leaves_out_what_is_part_of_a_run_and_what_waits_for_it(here: Scene) -> None:
    taken = here.add()
    here.go()
    waits = here.add(taken, lane=None)
    here.add(waits, lane=None)
    free = here.add(lane=None)
    found = runs.plan(here.tx, here.house, runs.Wanted())
    assert found.waves == ((free,),)
    assert found.left_out[0] == "TASK-001 is part of RUN-001."
    assert [line.split()[0] for line in found.left_out[1:]] == ["TASK-002", "TASK-003"]
    here.end(free, Act.CANCEL)
    with pytest.raises(Unclear, match="Nothing to run: TASK-001 is part of RUN-001"):
        runs.plan(here.tx, here.house, runs.Wanted())


def test_failed_ones_are_left_out_and_said(here: Scene) -> None:
    a, b = here.add(), here.add()
    here.finish(a, T.FAILED)
    plan = runs.plan(here.tx, here.house, runs.Wanted("import"))
    assert plan.waves == ((b,),)
    assert plan.left_out == ("TASK-001 has failed: /retry 1 first, to have it in.",)


def test_no_open_run_of_that_number(here: Scene) -> None:
    with pytest.raises(Unclear, match=r"No run 7\. Begin one: /go LANE"):
        stored.open_run(here.tx, 7)
    a = here.add()
    here.go()
    assert stored.open_run(here.tx, 1).id == 1
    here.finish(a)
    with pytest.raises(Refused, match="RUN-001 is completed already: /run 1 shows it"):
        stored.open_run(here.tx, 1)


# -- random histories ----------------------------------------------------------------------------

OPS = ("begin", "done", "fail", "release", "retry", "cancel", "finish", "reopen", "block", "lift")
RUN_OPS = ("pause", "resume", "stop")
GLOBS = ("src/a.py", "src/*.py", "docs/", "src/b.py")


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    size = draw(st.integers(1, 7))
    plan = [(draw(st.lists(st.integers(1, n), max_size=2)) if n else [],
             draw(st.lists(st.sampled_from(GLOBS), max_size=2)), draw(st.booleans()))
            for n in range(size)]
    steps = st.one_of(st.tuples(st.sampled_from(OPS), st.integers(1, size)),
                      st.tuples(st.sampled_from(OPS[:3]), st.integers(1, size)),
                      st.tuples(st.sampled_from(RUN_OPS[:2]), st.just(0)),
                      st.tuples(st.just("stop"), st.just(0)) if draw(st.booleans())
                      else st.tuples(st.just("begin"), st.integers(1, size)))
    return plan, draw(st.lists(steps, max_size=40))


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("runs")) as found:
        yield found


@settings(max_examples=150, deadline=None)
@given(histories())
def test_any_history_keeps_counts_waves_and_pauses_right(
    board: Scene, history: tuple[list[Any], list[Any]]
) -> None:
    plan, steps = history
    board.tx.run("SAVEPOINT example")
    try:
        for after, touches, draft in plan:
            board.add(*after, touches=touches, draft=draft)
        board.go()
        check(board, 0)
        person = False
        for op, task_id in steps:
            wave = board.run().wave
            try:
                play(board, op, task_id)
            except BullpenError:
                continue
            person = op == "pause" or (person and op != "resume")
            assert (board.run().paused_by is not None) == person or board.run().ended_at
            check(board, wave)
    finally:
        board.tx.run("ROLLBACK TO example")
        board.tx.run("RELEASE example")
        board.tx.events.clear()


def play(board: Scene, op: str, task_id: int) -> None:
    if op in RUN_OPS:
        act = {"pause": runs.pause, "resume": runs.resume}.get(op)
        if act is not None:
            act(board.tx, board.house, board.run(), ANN)
        else:
            runs.stop(board.tx, board.run(), ANN)
        return
    task = board.task(task_id)
    if op == "begin":
        board.begin(task_id)
    elif op in ("done", "fail", "release") and task.state in ACTIVE:
        if op == "release":
            tasks.move(board.tx, task, T.READY)
        else:
            board.finish(task_id, T.DONE if op == "done" else T.FAILED)
    elif op == "retry":
        board.retry(task_id)
    elif op == "reopen":
        board.reopen(task_id)
    elif op in ("cancel", "finish"):
        board.end(task_id, Act.CANCEL if op == "cancel" else Act.DONE)
    elif op == "block":
        tasks.block(board.tx, task, "paused")
    elif op == "lift" and task.state is T.BLOCKED:
        tasks.lift(board.tx, task, "paused")


def check(board: Scene, wave_before: int) -> None:
    run = board.run()
    found = [board.task(row[0]) for row in board.tx.all("SELECT id FROM tasks ORDER BY id")]
    if run.ended_at is not None:
        for task in found:
            assert (task.run_id, task.wave, task.held, task.held_by) == (None,) * 4
        return
    assert any(task.state not in OVER for task in found), "nothing is left, and it goes on"
    check_counts(board, run, found)
    check_pause(board, run, found)
    for task in found:
        check_held(run, task)
    check_waves(board, run, found, wave_before)
    check_collisions(board, found)


def check_counts(board: Scene, run: Run, found: list[Task]) -> None:
    assert run.done == sum(task.state is T.DONE for task in found)
    assert run.failed == sum(task.state in (T.FAILED, T.CANCELLED) for task in found)
    for row in board.tx.all("SELECT * FROM waves"):
        inside = [task for task in found if task.wave == row["number"]]
        assert row["total"] == len(inside)
        assert row["open"] == sum(task.state not in OVER for task in inside)
    for row in board.tx.all("SELECT * FROM run_tasks"):
        state = board.task(row["task_id"]).state
        assert row["outcome"] == (state.value if state in OVER else None)


def check_pause(board: Scene, run: Run, found: list[Task]) -> None:
    states = {task.id: task.state for task in found}
    standing = {row["needs_id"] for row in board.tx.all("SELECT * FROM dependencies")
                if states[row["needs_id"]] in (T.FAILED, T.CANCELLED)
                and states[row["task_id"]] not in OVER}
    assert (run.state is RunState.PAUSED) == bool(standing or run.paused_by)
    assert (run.because in standing) if standing else (run.because is None)


def check_held(run: Run, task: Task) -> None:
    if task.state is not T.READY:
        assert (task.held, task.held_by) == (None, None)
    elif (task.wave or 0) > run.wave:
        assert task.held == "wave"
    elif run.state is RunState.PAUSED:
        assert task.held == "run"
    else:
        assert task.held in (None, "collision")


def check_waves(board: Scene, run: Run, found: list[Task], wave_before: int) -> None:
    states = [WaveState(one) for one in board.waves()]
    for number, state in enumerate(states, 1):
        if number < run.wave:
            left = any(task.wave == number and task.state not in OVER for task in found)
            assert state is (WaveState.RUNNING if left else WaveState.COMPLETED)
        elif number > run.wave:
            assert state is WaveState.PENDING
        elif run.state is RunState.PAUSED:
            assert state in (WaveState.PAUSED, WaveState.FAILED)
        else:
            assert state is WaveState.RUNNING
    if run.wave > wave_before:
        assert all(task.state in OVER for task in found if (task.wave or 0) < run.wave)


def check_collisions(board: Scene, found: list[Task]) -> None:
    globs = {task.id: tasks.labels(board.tx, task.id, "touches") for task in found}

    def meet(one: Task, other: Task) -> bool:
        return any(overlap(a, b) for a in globs[one.id] for b in globs[other.id])

    going = [task for task in found if clashes.occupies(task)]
    for one, other in itertools.combinations(going, 2):
        assert not meet(one, other), "two have the same files"
    known = {task.id: task for task in found}
    for task in found:
        if task.held == "collision":
            by = known[task.held_by or 0]
            assert clashes.occupies(by) and meet(task, by)
