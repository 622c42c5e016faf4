"""A run's page shows its waves and what holds it, and is written again when they change alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model import Event, task_ref
from core.store.database import Store, Tx
from site_gen.build import Builder
from site_gen.dots import MOST, WAVES, Item, draw
from site_gen.render import Settings
from tests.fakes.filled import Filled, change, fill, remove
from tests.fakes.filled_run import SIZES, FilledRun, add_run, title_of, work_on
from tests.site_bench import assert_sound, builder_of, contents, files, page, replaced


@pytest.fixture
async def filled(tmp_path: Path) -> Filled:
    return await fill(tmp_path / "data")


@pytest.fixture
async def run(filled: Filled) -> FilledRun:
    return await add_run(filled)


@pytest.fixture
def site(filled: Filled, run: FilledRun) -> Iterator[Builder]:
    builder = builder_of(filled)
    builder.tick()
    yield builder
    builder.close()


def text_of(markup: str) -> str:
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]+>", " ", markup))


async def act(filled: Filled, change: object) -> None:
    store = await Store(filled.folder, filled.clock.now).open()
    try:
        await store.write(change)  # type: ignore[arg-type]
    finally:
        await store.close()


def written(before: dict[str, tuple[int, int]], filled: Filled) -> set[str]:
    return replaced(before, files(filled)) - {"heartbeat.js", ".state.json"}


# -- what it says --------------------------------------------------------------------------


def test_a_runs_page_says_how_it_stands(site: Builder, filled: Filled, run: FilledRun) -> None:
    text = text_of(page(filled, "runs/RUN-001.html"))
    assert "RUN-001 · ▶ running" in text
    assert "Wave 3 of 6 · 17 of 40 done" in text
    assert "3 failed or cancelled" in text
    assert re.search(r"Still about \S+ \w+, from \d+ tasks of this lane", text)
    assert "of 25.00 USD" in text
    for wave, size in enumerate(SIZES, 1):
        assert f"Wave {wave}" in text
        for n in range(size):
            assert f"({title_of(wave, n)})" in text


def test_every_task_is_a_dot_and_a_line_with_a_link(site: Builder, filled: Filled,
                                                    run: FilledRun) -> None:
    markup = page(filled, "runs/RUN-001.html")
    for task in run.tasks:
        assert markup.count(f'href="../tasks/{task_ref(task)}.html"') >= 2
    dots = re.findall(r'<a [^>]*tabindex="-1"><title>([^<]+)</title>\s*<circle class="d d-(\w+)"',
                      markup)
    assert len(dots) == len(run.tasks)
    words = {"in_flight": "in flight", "review": "ready for you", "later": "to come",
             "held": "held back"}
    for title, state in dots:
        assert f": {words.get(state, state)}" in title


def test_the_picture_has_words_for_who_cannot_see_it(site: Builder, filled: Filled) -> None:
    said = re.search(r'<svg class="dots"[^>]*aria-label="([^"]+)"',
                     page(filled, "runs/RUN-001.html"))
    assert said is not None
    assert "Wave 1 of 6, completed: 8 done." in said[1]
    assert "Wave 3 of 6, running: 2 done, 2 in flight, 1 ready for you, 1 failed, 1 blocked, " \
           "1 held back." in said[1]
    assert "Wave 6 of 6, to come: 3 to come." in said[1]


def test_the_critical_path_is_drawn_through_the_waves(site: Builder, filled: Filled,
                                                      run: FilledRun) -> None:
    markup = page(filled, "runs/RUN-001.html")
    line = re.search(r'<polyline class="path" points="([^"]+)"', markup)
    behind = re.search(r'<polyline class="behind" points="([^"]+)"', markup)
    assert line is not None and behind is not None
    assert (len(line[1].split()), len(behind[1].split())) == (4, 3)
    assert behind[1].split()[-1] == line[1].split()[0]
    assert "critical path: 4 tasks are left" in text_of(markup)
    for task in run.chain[2:]:
        assert re.search(rf"<title>{task_ref(task)} [^<]*, on the critical path</title>", markup)


def test_what_holds_a_run_comes_first_with_what_to_type(site: Builder, filled: Filled,
                                                        run: FilledRun) -> None:
    holder, held = run.waves[2][3], run.waves[2][7]
    text = text_of(page(filled, "runs/RUN-001.html"))
    assert f"{task_ref(held)} waits for {task_ref(holder)} : both touch the same files" in text
    assert re.search(r"type /approve G-\d+ or /reject G-\d+ why", text)
    assert text.index("What holds it") < text.index("Waves")


async def test_a_failure_that_paused_it_is_named(filled: Filled) -> None:
    run = await add_run(filled, sizes=(2, 2), at=1, state="paused")
    site = builder_of(filled)
    site.tick()
    site.close()
    failed = run.waves[0][0]
    text = text_of(page(filled, "runs/RUN-001.html"))
    assert f"{task_ref(failed)} " in text
    assert "failed, and later tasks need it" in text
    assert f"Type /retry {failed} , /done {failed} or /stop RUN-001" in text


async def test_who_paused_it_is_named_and_how_it_goes_on(filled: Filled, run: FilledRun) -> None:
    await act(filled, lambda tx: tx.run("UPDATE runs SET state = 'paused', paused_by = 'Ann'"))
    site = builder_of(filled)
    site.tick()
    site.close()
    assert "paused by Ann. To let it go on, type /resume RUN-001" in text_of(
        page(filled, "runs/RUN-001.html"))


def test_open_runs_stand_on_the_overview_and_all_in_the_list(site: Builder, filled: Filled) -> None:
    for name in ("index.html", "runs.html"):
        text = text_of(page(filled, name))
        assert "RUN-001 billing ▶ running" in text
        assert "17 of 40 done" in text
    assert 'href="runs/RUN-001.html"' in page(filled, "index.html")
    assert 'href="runs.html"' in page(filled, "tasks.html")


async def test_a_run_that_is_over_leaves_the_overview(filled: Filled) -> None:
    await add_run(filled, sizes=(2, 1), at=2, state="completed")
    site = builder_of(filled)
    site.tick()
    site.close()
    assert "RUN-001 billing" not in text_of(page(filled, "index.html").split("What happened")[0])
    assert "None is open." in page(filled, "index.html")
    assert "✓ completed" in text_of(page(filled, "runs.html"))
    assert "Still" not in text_of(page(filled, "runs/RUN-001.html"))


async def test_without_runs_the_list_says_what_to_type(tmp_path: Path) -> None:
    empty = await fill(tmp_path / "data", tasks=2)
    site = builder_of(empty)
    site.tick()
    site.close()
    assert "/go LANE --dry" in page(empty, "runs.html")
    assert "<h2>Runs</h2>" not in page(empty, "index.html")


async def test_titles_are_text_in_the_picture_too(filled: Filled, run: FilledRun) -> None:
    evil = '"><script>alert(1)</script>\x1b[31m'
    await act(filled, lambda tx: [tx.run("UPDATE tasks SET title = ?", (evil,)),
                                  tx.run("UPDATE runs SET title = ?", (evil,))])
    site = builder_of(filled)
    site.tick()
    site.close()
    for name in ("runs/RUN-001.html", "runs.html", "index.html"):
        markup = page(filled, name)
        assert "<script>alert" not in markup
        assert "\x1b" not in markup
        assert "&gt;&lt;script&gt;alert(1)" in markup
    assert_sound(filled.folder / "site")


# -- the task's page -----------------------------------------------------------------------


def test_a_task_shows_its_run_its_money_and_its_needs(site: Builder, filled: Filled,
                                                      run: FilledRun) -> None:
    text = text_of(page(filled, f"tasks/{task_ref(run.chain[2])}.html"))
    assert "RUN-001 billing , wave 3" in text
    assert re.search(r"Budget 1\.50 USD, \d+ % spent", text)
    assert f"Needs {task_ref(run.chain[1])}" in text
    held = text_of(page(filled, f"tasks/{task_ref(run.waves[2][7])}.html"))
    assert f"{task_ref(run.waves[2][3])} touches the same files and goes first" in held


def test_the_receipt_ends_the_story(site: Builder, filled: Filled, run: FilledRun) -> None:
    markup = page(filled, f"tasks/{task_ref(run.waves[0][0])}.html")
    text = text_of(markup)
    assert "✓ passed at 3fa91c2000" in text
    assert "python -m pytest tests/import 41 passed, 2 skipped · 5.1 s" in text
    assert "2 files +57 −9" in text
    assert "counts no more since" in text and ": the change is another by now" in text
    assert "E assert 3 == 4 2 failed, 39 passed" in text
    assert text.index("✓ passed at 3fa91c2000") < text.index("✕ failed at 7be0a41000")
    assert markup.index("Receipt</h2>") > markup.index("What was changed")


def test_artifacts_show_all_their_versions(site: Builder, filled: Filled, run: FilledRun) -> None:
    text = text_of(page(filled, f"tasks/{task_ref(run.waves[2][4])}.html"))
    assert "plan.md document, version 2 Ann · 1\u202f377 bytes" in text
    assert "1 earlier version version 1 · coder-1 · 1\u202f204 bytes" in text


# -- what is written again -----------------------------------------------------------------


async def test_a_tasks_end_writes_its_run_and_the_overview(site: Builder, filled: Filled,
                                                          run: FilledRun) -> None:
    other = await add_run(filled, sizes=(1, 1), at=1, title="web", seed=2)
    site.tick()
    before = files(filled)
    task = run.waves[2][3]
    await work_on(filled, run, task, "failed")
    site.tick()
    neighbours = {name for name in written(before, filled) if name.startswith("tasks/")}
    assert f"tasks/{task_ref(task)}.html" in neighbours
    crew = {name for name in written(before, filled) if name.startswith("agents/")}
    assert len(crew) == 1
    assert written(before, filled) - neighbours - crew == {
        "runs/RUN-001.html", "runs.html", "index.html", "tasks.html", "events.html"}
    assert other.id == 2
    assert "17 of 40 done · ✕ 4 failed" in text_of(page(filled, "runs/RUN-001.html"))


async def test_progress_of_a_task_leaves_its_run_alone(site: Builder, filled: Filled) -> None:
    before = files(filled)
    await change(filled, [3])
    site.tick()
    assert not any(name.startswith("run") for name in written(before, filled))


async def test_a_task_let_go_by_another_is_told_without_an_event_of_its_own(
        site: Builder, filled: Filled, run: FilledRun) -> None:
    holder, held = run.waves[2][3], run.waves[2][7]
    assert "held back" in page(filled, f"tasks/{task_ref(held)}.html")
    await act(filled, lambda tx: tx.run(
        "UPDATE tasks SET held = NULL, held_by = NULL WHERE id = ?", (held,)))
    await work_on(filled, run, holder)
    site.tick()
    assert "held back" not in page(filled, f"tasks/{task_ref(held)}.html")


async def test_a_new_run_stands_on_the_pages_of_its_tasks(site: Builder, filled: Filled) -> None:
    task = filled.tasks["inbox"][0]

    def begin(tx: Tx) -> None:
        run = tx.insert("runs", title="later", state="planned", waves=1, total=1, created_by="ann",
                        created_at=tx.now)
        tx.insert("waves", run_id=run, number=1, state="pending", total=1, open=1)
        tx.insert("run_tasks", run_id=run, task_id=task, wave=1)
        tx.run("UPDATE tasks SET run_id = ?, wave = 1 WHERE id = ?", (run, task))
        tx.emit(Event("run.started", "RUN-002 is planned", run_id=run))

    await act(filled, begin)
    site.tick()
    assert "RUN-002 later" in page(filled, f"tasks/{task_ref(task)}.html")
    assert_sound(filled.folder / "site")


async def test_a_restart_knows_what_was_held(filled: Filled, run: FilledRun) -> None:
    first = builder_of(filled)
    first.tick()
    first.close()
    holder, held = run.waves[2][3], run.waves[2][7]
    await act(filled, lambda tx: tx.run("UPDATE tasks SET held = NULL, held_by = NULL"))
    await work_on(filled, run, holder)
    second = builder_of(filled)
    second.tick()
    second.close()
    assert "held back" not in page(filled, f"tasks/{task_ref(held)}.html")


async def test_step_by_step_gives_the_same_site_as_from_nothing(
        site: Builder, filled: Filled, run: FilledRun, tmp_path: Path) -> None:
    for task, state in zip(run.waves[2], ("done", "done", "failed", "cancelled", "done"),
                           strict=False):
        await work_on(filled, run, task, state)
        site.tick()
    await add_run(filled, sizes=(1, 3), at=1, title="web", seed=2)
    site.tick()
    await remove(filled, run.waves[0][1])
    site.tick()
    fresh = Builder(filled.folder, tmp_path / "fresh", Settings(), filled.clock.now)
    fresh.tick()
    fresh.close()
    assert contents(filled.folder / "site") == contents(tmp_path / "fresh")


async def test_a_deleted_task_leaves_no_link_behind(site: Builder, filled: Filled,
                                                    run: FilledRun) -> None:
    for task in (run.chain[1], run.chain[2], filled.tasks["done"][0]):
        await remove(filled, task)
        site.tick()
        assert_sound(filled.folder / "site")
        assert f"{task_ref(task)}.html" not in "".join(contents(filled.folder / "site").values())


# -- ephemeral tasks -----------------------------------------------------------------------


async def test_an_ephemeral_task_leaves_the_lists_a_day_after_its_end(
        site: Builder, filled: Filled) -> None:
    task = filled.tasks["done"][-1]

    def pass_by(tx: Tx) -> None:
        tx.run("UPDATE tasks SET ephemeral = 1, ended_at = ? WHERE id = ?", (tx.now, task))
        tx.emit(Event("task.edited", f"{task_ref(task)} was edited", task_id=task))

    await act(filled, pass_by)
    site.tick()
    row = f'<a href="tasks/{task_ref(task)}.html"><span class="ref">'
    for hours, there in ((23, True), (2, False)):
        filled.clock.go(hours * 3600)
        site.tick()
        assert (row in page(filled, "tasks.html")) is there
        assert (row in page(filled, "index.html")) is there
    assert (filled.folder / "site" / "tasks" / f"{task_ref(task)}.html").exists()
    before = files(filled)
    filled.clock.go(60)
    site.tick()
    assert written(before, filled) == set()


# -- however large -------------------------------------------------------------------------


@pytest.mark.parametrize(("sizes", "at"), [((1,) * 300, 150), ((300, 1), 1)])
async def test_a_huge_run_has_a_page_that_a_phone_can_open(
        tmp_path: Path, sizes: tuple[int, ...], at: int) -> None:
    filled = await fill(tmp_path / "data", tasks=1)
    run = await add_run(filled, sizes=sizes, at=at)
    site = builder_of(filled)
    site.tick()
    site.close()
    markup = page(filled, "runs/RUN-001.html")
    assert len(markup) < 120_000
    assert f"{task_ref(run.waves[at - 1][0])}.html" in markup
    assert ("waves before these are not drawn" in markup) is (len(sizes) > WAVES)
    assert_sound(filled.folder / "site")


@given(st.lists(st.integers(1, 3 * MOST), min_size=1, max_size=2 * WAVES), st.data())
def test_dots_never_lie_on_each_other_or_outside(sizes: list[int], data: st.DataObject) -> None:
    ids = iter(range(1, sum(sizes) + 1))
    waves = [(number, [Item(next(ids), "t", "done") for _ in range(size)])
             for number, size in enumerate(sizes, 1)]
    at = data.draw(st.integers(0, len(sizes)))
    path = [items[data.draw(st.integers(0, len(items) - 1))].id for _, items in waves]
    drawing = draw(waves, path[at:], path[:at], at)
    dots = [dot for column in drawing.columns for dot in column.dots]
    assert len({(dot.x, dot.y) for dot in dots}) == len(dots)
    assert all(0 < dot.x < drawing.width and 0 < dot.y < drawing.height for dot in dots)
    assert drawing.before + len(drawing.columns) + drawing.after == len(sizes)
    for column in drawing.columns:
        assert len(column.dots) + column.more == sizes[column.number - 1]
        assert column.dots[0].critical
    assert at == 0 or any(column.number == at for column in drawing.columns)
