"""A task's fields and words, edited, given back and deleted: what changes, what is refused, and
what stays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import acts, views
from core.acts.editing import Edit, edit
from core.artifacts import folder_name
from core.commands import fields, words
from core.commands.reply import Reply
from core.errors import Refused, Unclear
from core.house import House
from core.lifecycle import Act, Situation
from core.model import ENDED, Priority, SessionOutcome, SessionState, Task, TaskState
from core.ports import Exit
from core.redaction import Redactor
from core.store import claims, deliveries, needs, sessions, tasks
from core.store.database import Store, Tx
from core.store.tasks import NewTask
from core.taskfolders import TaskFolders
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, bring, house

DAY = 86_400_000


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    data = tmp_path / "data"
    store = await Store(data, FakeClock().now).open()
    yield house(store, data)
    await store.close()


def add(tx: Tx, **more: Any) -> Task:
    return tasks.add(tx, NewTask("Work", "quick", "work", repo="shop", **more))


async def change(home: House, task_id: int, **wanted: Any) -> tuple[str, ...]:
    return await home.store.write(
        lambda tx: edit(tx, home, tasks.get(tx, task_id), Edit(**wanted), ANN))


# -- words ---------------------------------------------------------------------------------


def test_the_sources_words_are_understood() -> None:
    assert words.priority("Critical") is Priority.URGENT
    assert [words.complexity(word) for word in (
        "trivial", "simple", "medium", "complex", "very complex", "very-complex", "XS", "m")] == [
        "xs", "s", "m", "l", "xl", "xl", "xs", "m"]
    assert words.states(["open"]) == (TaskState.INBOX, TaskState.READY, TaskState.BLOCKED)
    assert set(words.states(["closed"])) == ENDED
    assert words.states(["in-progress"]) == (
        TaskState.PLANNING, TaskState.IN_FLIGHT, TaskState.REVIEW)
    assert words.states(["done,ready", "ready"]) == (TaskState.READY, TaskState.DONE)
    for wrong, how in (("4", words.priority), ("3", words.complexity), ("", words.complexity)):
        with pytest.raises(Unclear):
            how(wrong)


@given(st.text(max_size=200))
def test_every_line_is_a_criterion_or_part_of_the_description(text: str) -> None:
    description, criteria = fields.body(text)
    kept = description.splitlines()
    assert len(kept) + len(criteria) <= len(text.splitlines())
    assert all(line.strip() for line, _ in criteria)
    assert all(command is None or f"`{command}`" in line for line, command in criteria)
    assert all(line in text for line in kept)


def test_boxes_with_a_command_are_run_and_others_are_ticked() -> None:
    assert fields.body("Why.\n- [ ] `make test` passes\n* [x] it is kind\n- [] short\n- no box\n"
                       "- [ ]") == (
        "Why.\n- no box\n- [ ]", (("`make test` passes", "make test"), ("it is kind", None),
                                  ("short", None)))


# -- edit ----------------------------------------------------------------------------------


async def test_an_edit_replaces_labels_and_criteria_whole(home: House) -> None:
    await home.store.write(lambda tx: add(
        tx, labels=(("tag", "a"), ("tag", "b"), ("skill", "sql")), criteria=(("one", None),)))
    await home.store.write(lambda tx: tx.run("UPDATE criteria SET state = 'ticked'"))
    assert await change(home, 1, labels={"tag": ("b", "c")}) == ("tags",)
    assert await change(home, 1, labels={"tag": ("c", "b")}) == ()
    assert await change(home, 1, criteria=(("one", None),)) == ()
    rows = await home.store.read("SELECT state FROM criteria")
    assert [row[0] for row in rows] == ["ticked"], "the same criteria keep what was seen of them"
    assert await change(home, 1, criteria=(("two", "true"), ("one", None))) == ("criteria",)
    page = await home.store.view(lambda db: views.task_page(db, 1))
    assert page is not None
    assert page.labels == {"tag": ("b", "c"), "skill": ("sql",)}
    assert [(c.text, c.state) for c in page.criteria] == [("two", "open"), ("one", "open")]


async def test_other_skills_ask_for_other_agents(home: House) -> None:
    def demand(tx: Tx) -> Any:
        claims.demands(tx)
        return tx.value("SELECT demand FROM tasks")

    await home.store.write(add)
    assert await home.store.write(demand) is not None
    await change(home, 1, labels={"skill": ("sql",)})
    assert (await home.store.read("SELECT demand FROM tasks"))[0][0] is None


async def test_another_workflow_begins_at_its_first_step_for_anybody(home: House) -> None:
    def act(tx: Tx) -> None:
        add(tx, assignee="claude")
        tx.run("UPDATE tasks SET step = 'later', assigned_step = 'later'")

    await home.store.write(act)
    await change(home, 1, columns={"workflow": "quick", "step": "work"})
    task = await home.store.write(lambda tx: tasks.get(tx, 1))
    assert (task.step, task.assignee, task.assigned_step) == ("work", None, None)
    await change(home, 1, columns={"assignee": "claude"})
    task = await home.store.write(lambda tx: tasks.get(tx, 1))
    assert (task.assignee, task.assigned_step) == ("claude", "work")


@pytest.mark.parametrize("situation", Situation, ids=lambda one: one.name.lower())
async def test_what_may_be_edited_when(home: House, situation: Situation) -> None:
    """Words and labels always; where and how it is done only before anybody has begun."""
    waiting = situation in (Situation.INBOX, Situation.READY, Situation.BLOCKED)
    task_id = await home.store.write(lambda tx: bring(tx, home, situation).id)
    assert await change(home, task_id, columns={"title": "New", "lane": "web"}) == (
        "title", "lane")
    for columns in ({"run_command": "true"}, {"repo": "other"}, {"workflow": "other"},
                    {"not_before": 5}):
        if waiting:
            assert await change(home, task_id, columns=columns)
        else:
            with pytest.raises(Refused, match=r"TASK-00. (has begun|is )"):
                await change(home, task_id, columns=columns)


# -- delete --------------------------------------------------------------------------------


async def test_nothing_of_a_deleted_task_is_left_but_its_folder(home: House) -> None:
    def act(tx: Tx) -> None:
        first, task = add(tx), add(tx, criteria=(("one", None),), labels=(("tag", "a"),))
        needs.set_needs(tx, task, [first.id])
        home.artifacts.keep(tx, task.id, "plan.md", b"plan", ANN)
        tasks.follow(tx, task.id, "chat", "9", None)
        deliveries.owe(tx, platform="chat", chat="9", urgency=deliveries.PROGRESS,
                       reply=Reply("on it", key=f"task:{task.id}"))
        acts.delete(tx, home, task, ANN)

    await home.store.write(act)
    for table in ("task_labels", "criteria", "dependencies", "artifacts", "task_places",
                  "task_reasons"):
        assert not await home.store.read(f"SELECT 1 FROM {table}"), table
    owed = await home.store.read("SELECT reply FROM deliveries WHERE state = 'owed'")
    assert [json.loads(row["reply"])["title"] for row in owed] == ["🗑 TASK-002 deleted by Ann"]
    (event,) = await home.store.read("SELECT * FROM events WHERE type = 'task.deleted'")
    folder = home.data / json.loads(event["payload"])["folder"]
    assert (folder / "artifacts" / "plan.md").read_bytes() == b"plan"
    folders = TaskFolders(home, Redactor())
    assert await folders.sync() == 2
    assert json.loads((folder / "task.json").read_text())["state"] == "deleted"
    assert await folders.sync() == 0


async def test_a_number_is_never_given_twice(home: House) -> None:
    def act(tx: Tx) -> int:
        acts.delete(tx, home, add(tx), ANN)
        return add(tx).id

    assert await home.store.write(act) == 2


async def test_what_a_task_is_still_needed_for_keeps_it(home: House) -> None:
    def act(tx: Tx) -> None:
        add(tx)
        add(tx, after=(1,))
        stopping = bring(tx, home, Situation.WORKING)
        acts.end(tx, home, stopping, Act.DONE, ANN, "done")

    await home.store.write(act)
    for task_id, told in ((1, "TASK-002 needs it: /after 2 -1 first."),
                          (3, "is just being stopped: try again")):
        with pytest.raises(Refused, match=told):
            await home.store.write(
                lambda tx, one=task_id: acts.delete(tx, home, tasks.get(tx, one), ANN))


async def test_an_ended_task_that_needed_it_needs_it_no_more(home: House) -> None:
    def act(tx: Tx) -> tuple[int, list[int]]:
        first = add(tx)
        tasks.move(tx, add(tx, after=(first.id,)), TaskState.CANCELLED)
        acts.delete(tx, home, first, ANN)
        reopened = acts.reopen(tx, home, tasks.get(tx, 2))
        assert reopened.state is TaskState.READY
        return reopened.unmet, needs.of(tx, 2)

    assert await home.store.write(act) == (0, [])


# -- release and reopen --------------------------------------------------------------------


async def test_what_is_given_back_waits_until_its_process_is_gone(home: House) -> None:
    def act(tx: Tx) -> list[Any]:
        task = acts.release(tx, home, bring(tx, home, Situation.WORKING), ANN)
        held = claims.best(tx)
        (session,) = sessions.open_of_task(tx, task.id)
        assert (session.state, session.reason) == (SessionState.TERMINATING, "released")
        sessions.attempt_ended(tx, sessions.get_attempt(tx, session.id), Exit(status=0))
        sessions.end(tx, session, SessionOutcome.KILLED, "released")
        free = claims.best(tx)
        return [task.state, task.step, task.assignee, held, free and free.id]

    assert await home.store.write(act) == ["ready", "work", None, None, 1]


async def test_what_waits_for_a_decision_is_given_back_to_its_agents_step(home: House) -> None:
    task = await home.store.write(
        lambda tx: acts.release(tx, home, bring(tx, home, Situation.DECIDING), ANN))
    assert (task.state, task.step, task.begun) == (TaskState.READY, "work", True)


async def test_reopened_it_begins_as_if_new(home: House) -> None:
    def act(tx: Tx) -> Task:
        task = bring(tx, home, Situation.DONE)
        tx.insert("criteria", task_id=task.id, position=1, text="kind", state="ticked")
        tx.update("tasks", {"id": task.id}, position=None)
        return acts.reopen(tx, home, tasks.get(tx, task.id))

    task = await home.store.write(act)
    assert (task.state, task.begun, task.position, task.step) == (
        TaskState.READY, False, 1024, "work")
    assert (await home.store.read("SELECT state FROM criteria"))[0][0] == "open"


# -- what is forgotten ---------------------------------------------------------------------


async def test_an_ephemeral_task_leaves_list_and_board_a_day_after_its_end(home: House) -> None:
    def act(tx: Tx) -> int:
        for ephemeral in (True, False):
            tasks.move(tx, add(tx, ephemeral=ephemeral), TaskState.DONE)
        tasks.move(tx, add(tx, ephemeral=True), TaskState.CANCELLED)
        add(tx, ephemeral=True)
        return tx.now

    now = await home.store.write(act)
    for at, found in ((now + DAY, [4, 3, 2, 1]), (now + DAY + 1, [4, 2])):
        cut = views.Filter(now=at)
        page = await home.store.view(lambda db, cut=cut: views.list_tasks(db, cut))
        assert ([row.id for row in page.items], page.total) == (found, len(found))
        board = await home.store.view(lambda db, at=at: views.board(db, 9, at))
        assert sorted(row.id for column in board for row in column.cards) == sorted(found)
    assert await home.store.view(lambda db: views.task_page(db, 1)) is not None


async def test_the_folder_keeps_its_name(home: House) -> None:
    await home.store.write(add)
    await change(home, 1, columns={"title": "Something else"})
    task = await home.store.write(lambda tx: tasks.get(tx, 1))
    assert folder_name(task) == "TASK-001--work"
