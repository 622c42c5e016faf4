"""Pages say what the database says, and only what changed is written again."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.model import Event, task_ref
from core.store.database import Store
from site_gen.build import Builder
from site_gen.pages import EVENTS, LINES, ROWS
from site_gen.render import Renderer, Settings, cleaner, session_file
from tests.fakes.filled import Filled, change, fill, remove, say
from tests.site_bench import assert_sound, builder_of, contents, files, page, replaced


@pytest.fixture
async def filled(tmp_path: Path) -> Filled:
    return await fill(tmp_path / "data")


@pytest.fixture
def site(filled: Filled) -> Iterator[Builder]:
    builder = builder_of(filled)
    yield builder
    builder.close()


def test_every_task_session_and_list_has_its_page(site: Builder, filled: Filled) -> None:
    report = site.tick()
    names = set(files(filled))
    assert {"index.html", "tasks.html", "events.html", "heartbeat.js", "static/style.css"} <= names
    assert {f"tasks/{task_ref(n)}.html" for n in range(1, 25)} <= names
    assert {f"sessions/{name}.html" for name in filled.sessions.values()} <= names
    assert report.written == len(names - {"heartbeat.js", ".state.json"})


def test_nothing_changed_writes_the_heartbeat_alone(site: Builder, filled: Filled) -> None:
    site.tick()
    before = files(filled)
    filled.clock.go(60)
    assert site.tick().written == 0
    assert replaced(before, files(filled)) == {"heartbeat.js"}


async def test_a_change_writes_its_pages_alone(site: Builder, filled: Filled) -> None:
    site.tick()
    before = files(filled)
    await change(filled, [3, 5])
    report = site.tick()
    assert replaced(before, files(filled)) - {"heartbeat.js", ".state.json"} == {
        "tasks/TASK-003.html", "tasks/TASK-005.html", "tasks.html", "events.html", "index.html"}
    assert report.written == 5
    assert "half way" in page(filled, "tasks/TASK-003.html")


async def test_a_line_writes_its_session_and_its_task(site: Builder, filled: Filled) -> None:
    site.tick()
    before = files(filled)
    task = filled.tasks["in_flight"][0]
    await say(filled, filled.sessions[task], ["Almost there."])
    site.tick()
    assert replaced(before, files(filled)) - {"heartbeat.js", ".state.json"} == {
        f"sessions/{filled.sessions[task]}.html", f"tasks/{task_ref(task)}.html"}


async def test_a_deleted_task_takes_its_pages_along(site: Builder, filled: Filled) -> None:
    site.tick()
    gone = filled.tasks["done"][0]
    await remove(filled, gone)
    report = site.tick()
    names = set(files(filled))
    assert report.removed == 2
    assert f"tasks/{task_ref(gone)}.html" not in names
    assert f"sessions/{filled.sessions[gone]}.html" not in names
    assert f"tasks/{task_ref(gone)}.html" not in page(filled, "tasks.html")


async def test_a_restart_goes_on_where_it_stopped(filled: Filled) -> None:
    first = builder_of(filled)
    first.tick()
    first.close()
    before = files(filled)
    await change(filled, [7])
    second = builder_of(filled)
    assert second.tick().written == 4
    assert "tasks/TASK-007.html" in replaced(before, files(filled))
    second.close()


async def test_step_by_step_gives_the_same_site_as_from_nothing(
        site: Builder, filled: Filled, tmp_path: Path) -> None:
    site.tick()
    for n in range(1, 20, 3):
        await change(filled, [n, n + 1])
        await say(filled, filled.sessions[1], [f"line {n}"], first=910_000 + n)
        site.tick()
    await remove(filled, 2)
    site.tick()
    fresh = Builder(filled.folder, tmp_path / "fresh", Settings(), filled.clock.now)
    fresh.tick()
    fresh.close()
    assert contents(filled.folder / "site") == contents(tmp_path / "fresh")


def test_another_title_builds_everything_again(filled: Filled) -> None:
    for title in ("Bullpen", "Shop crew"):
        builder = builder_of(filled, title=title)
        builder.tick()
        builder.close()
    assert "Shop crew" in page(filled, "tasks/TASK-001.html")


def test_a_newly_known_secret_leaves_old_pages_too(filled: Filled) -> None:
    for secrets in ((), ("compiled its pattern",)):
        builder = builder_of(filled, secrets=secrets)
        builder.tick()
        builder.close()
    everything = "".join(contents(filled.folder / "site").values())
    assert "compiled its pattern" not in everything
    assert "[redacted]" in page(filled, "tasks/TASK-001.html")
    assert "pattern" not in (filled.folder / "site" / ".state.json").read_text()


def test_a_database_that_began_anew_is_built_anew(filled: Filled, tmp_path: Path) -> None:
    builder = builder_of(filled)
    builder.tick()
    builder.close()
    other = asyncio.run(fill(tmp_path / "other", tasks=3))
    builder = Builder(other.folder, filled.folder / "site", Settings(), other.clock.now)
    builder.tick()
    builder.close()
    assert not (filled.folder / "site" / "tasks" / "TASK-010.html").exists()


async def test_the_page_knows_the_day(site: Builder, filled: Filled) -> None:
    site.tick()
    before = files(filled)
    filled.clock.go(2 * 86_400)
    site.tick()
    assert replaced(before, files(filled)) - {"heartbeat.js", ".state.json"} == {
        "index.html", "cost.html"}
    assert "<b>0</b> done" in page(filled, "index.html")


async def test_a_damaged_memory_is_no_obstacle(filled: Filled) -> None:
    for damage in (None, "{broken", '{"other": 1}', "[]"):
        if damage is not None:
            (filled.folder / "site" / ".state.json").write_text(damage)
            (filled.folder / "site" / "index.html").unlink()
        builder = builder_of(filled)
        builder.tick()
        builder.close()
        assert "TASK-001" in page(filled, "tasks.html")
        assert (filled.folder / "site" / "index.html").exists()


async def test_a_long_log_is_cut_into_pages_that_stay(site: Builder, filled: Filled) -> None:
    session = filled.sessions[filled.tasks["in_flight"][0]]
    await say(filled, session, [f"line {n}" for n in range(3 * LINES)])
    site.tick()
    before = files(filled)
    seen = log_of(filled, session)
    assert [text for text in seen if text.startswith("line ")] == [
        f"line {n}" for n in range(3 * LINES)]
    await say(filled, session, [f"late {n}" for n in range(LINES)], first=950_000)
    site.tick()
    assert len(log_of(filled, session)) == len(seen) + LINES
    written = replaced(before, files(filled))
    assert f"sessions/{session}-1.html" not in written
    assert f"sessions/{session}-3.html" in written


def log_of(filled: Filled, session: str) -> list[str]:
    """The log as one reads it from its oldest page to its newest."""
    name, pages = f"{session}.html", []
    while name:
        pages.append(page(filled, f"sessions/{name}"))
        older = re.search(r'rel="prev" href="([^"]+)"', pages[-1])
        name = older[1] if older else ""
    newest_first = [re.findall(r'<p class="l [^>]*><span>[^<]*</span> (?:<b>[^<]*</b> )?([^<]*)',
                               text) for text in pages]
    return [line for lines in reversed(newest_first) for line in lines]


async def test_many_tasks_and_events_are_paged_and_linked(tmp_path: Path) -> None:
    filled = await fill(tmp_path / "data", tasks=3 * ROWS + 5, lines=1)
    builder = builder_of(filled)
    builder.tick()
    assert len(list((filled.folder / "site").glob("tasks-*.html"))) == 2
    assert len(list((filled.folder / "site").glob("events-*.html"))) >= 1
    for name in ("tasks", "events"):
        seen = chain(filled, name)
        assert len(seen) == len(set(seen)) > (3 * ROWS if name == "tasks" else EVENTS)
    store = await Store(filled.folder, filled.clock.now).open()
    for n in range(2 * ROWS):
        await store.write(lambda tx, n=n: tx.emit(Event(
            "task.added", f"ann added number {n}", task_id=tx.insert(
                "tasks", title=f"number {n}", slug="n", state="inbox", workflow="quick",
                step="work", created_at=tx.now, updated_at=tx.now))))
    await store.close()
    builder.tick()
    builder.close()
    assert len(chain(filled, "tasks")) == 5 * ROWS + 5
    fresh = Builder(filled.folder, tmp_path / "fresh", Settings(), filled.clock.now)
    fresh.tick()
    fresh.close()
    assert contents(filled.folder / "site") == contents(tmp_path / "fresh")


def chain(filled: Filled, name: str) -> list[str]:
    pattern = r'class="ref">(TASK-\d+)' if name == "tasks" else r"<li class=\"sev.*?</li>"
    found, at = [], f"{name}.html"
    while at:
        text = page(filled, at)
        found += [f"{at}{i}" if name == "events" else match
                  for i, match in enumerate(re.findall(pattern, text, re.S))]
        older = re.search(r'rel="prev" href="([^"]+)"', text)
        at = older[1] if older else ""
    return found


def test_every_link_leads_to_a_file(site: Builder, filled: Filled) -> None:
    site.tick()
    assert_sound(filled.folder / "site")


async def test_what_agents_say_is_text_only(filled: Filled, site: Builder) -> None:
    session = filled.sessions[filled.tasks["in_flight"][0]]
    await say(filled, session, ["<script>alert(1)</script>\x00\x1b[31mred\x1b[0m",
                                "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07 \u202eevil",
                                "key sk-ant-api03-" + "A" * 80])
    site.tick()
    text = page(filled, f"sessions/{session}.html")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;red" in text
    assert "click" in text
    assert not set("\x00\x1b\u202e") & set(text)
    assert "javascript:" not in text
    assert "A" * 80 not in text


def test_pages_carry_no_age_and_no_build_time(filled: Filled, tmp_path: Path) -> None:
    early = Builder(filled.folder, tmp_path / "a", Settings(), filled.clock.now)
    early.tick()
    early.close()
    filled.clock.go(1200)
    late = Builder(filled.folder, tmp_path / "b", Settings(), filled.clock.now)
    late.tick()
    late.close()
    first, second = contents(tmp_path / "a"), contents(tmp_path / "b")
    assert {name for name in first if first[name] != second[name]} == {"heartbeat.js"}


async def test_an_empty_house_says_what_to_type(tmp_path: Path) -> None:
    empty = await fill(tmp_path / "data", tasks=0)
    builder = builder_of(empty)
    builder.tick()
    builder.close()
    assert "/add &#34;" in page(empty, "index.html") or '/add "' in page(empty, "index.html")
    assert "/add" in page(empty, "tasks.html")


def test_a_template_cannot_print_what_is_missing() -> None:
    with pytest.raises(Exception, match="undefined"):
        Renderer(Settings()).page("task.html", root="")


@pytest.mark.parametrize("said", ["../../etc/passwd", "a/b", "", ".hidden", "a\nb", "é"])
def test_file_names_are_made_of_ids_only(said: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]+", session_file(said))
    assert session_file("coding-7f3a91c2") == "coding-7f3a91c2"


async def test_a_secret_across_lines_is_caught(filled: Filled) -> None:
    session = filled.sessions[1]
    await say(filled, session, ["before", "first-half of it", "second-half", "after <b>"])
    builder = builder_of(filled, secrets=("first-half of it\nsecond-half",))
    builder.tick()
    builder.close()
    text = page(filled, f"sessions/{session}.html")
    assert "first-half" not in text
    assert "second-half" not in text
    assert re.search(r"before</p>\n.*\[redacted\]</p>\n.*\[redacted\]</p>\n.*after &lt;b&gt;", text)


def test_a_secret_that_a_cut_would_divide_is_caught(filled: Filled) -> None:
    secret = "hunter2-zebra-quagga-mongoose"
    with contextlib.closing(sqlite3.connect(filled.folder / "bullpen.db")) as db, db:
        db.execute("UPDATE gates SET body = ?", ("a" * 1185 + secret + "b" * 100,))
    site = builder_of(filled, secrets=(secret,))
    site.tick()
    site.close()
    front = page(filled, "index.html")
    assert "aaaa" in front and "hunter2" not in front


def test_settings_never_show_their_secrets() -> None:
    settings = Settings.from_json('{"secrets": ["hunter22"], "interval": 5}')
    assert settings.secrets == ("hunter22",)
    assert "hunter22" not in repr(settings)
    assert cleaner(settings.secrets)("is hunter22") == "is [redacted]"
    with pytest.raises(ValueError, match="JSON object"):
        Settings.from_json("[]")


