"""Receipts in the tables, and what the card says of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from core import acts, cards, views
from core.house import House
from core.lifecycle import Act, Situation
from core.model import Change, Check, FileChange, Receipt, Task
from core.store import gates, receipts, sessions, tasks
from core.store.database import Store, Tx
from core.store.receipts import NewReceipt
from tests.fakes.clock import FakeClock
from tests.house_bench import ANN, bring, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    store = await Store(tmp_path / "data", FakeClock().now).open()
    yield house(store, tmp_path / "data")
    await store.close()


def change(patch: str = "p" * 40) -> Change:
    files = (FileChange("a.py", 26, 9), FileChange("b.py", 31, 0))
    return Change("b" * 40, "c" * 40, patch, files)


def check(command: str = "make test", passed: int | None = 41, failed: int | None = 0,
          skipped: int | None = 0, ms: int = 5400) -> Check:
    return Check(command, not failed, "said", None, passed, failed, skipped, ms)


def new(*checks: Check, patch: str = "p" * 40, commit: str = "3fa91c2" + "0" * 33) -> NewReceipt:
    return NewReceipt(commit, "b" * 40, change(patch), checks or (check(),), 6000)


def seen(tx: Tx, home: House, *made: NewReceipt, merged: bool = False) -> Task:
    """A task at its gate, with these receipts."""
    task = bring(tx, home, Situation.DECIDING)
    tx.run("UPDATE tasks SET change = ?, tokens = 1200, cost_usd = 0.5, merge_commit = ? "
           "WHERE id = ?", (msgspec.json.encode(change()).decode(),
                            "e" * 40 if merged else None, task.id))
    tx.run("UPDATE gates SET patch_id = ? WHERE task_id = ?", ("p" * 40, task.id))
    (session,) = sessions.open_of_task(tx, task.id)
    for one in made:
        receipts.store(tx, tasks.get(tx, task.id), session.id, one)
    return tasks.get(tx, task.id)


def lines(tx: Tx, task: Task) -> list[str]:
    (gate,) = gates.open_gates(tx, task.id)
    return [line for line in cards.gate_card(tx, gate).lines if "→" in line or "more check" in line]


async def card(home: House, act: Callable[[Tx], Task]) -> list[str]:
    return await home.store.write(lambda tx: lines(tx, act(tx)))


async def test_all_that_is_asked_of_a_receipt_is_kept(home: House) -> None:
    def act(tx: Tx) -> Receipt | None:
        task = seen(tx, home, new(check(), check("more", 3, 1, 2)))
        return receipts.valid(tx, task.id)

    kept = await home.store.write(act)
    assert kept is not None
    assert (kept.result, kept.passed, kept.failed, kept.skipped) == ("failed", 44, 1, 2)
    assert (kept.files, kept.added, kept.removed) == (2, 57, 9)
    assert (kept.duration_ms, kept.tokens, kept.cost_usd) == (6000, 1200, 0.5)
    assert [one.command for one in kept.checks] == ["make test", "more"]


async def test_without_counts_none_are_claimed(home: House) -> None:
    def act(tx: Tx) -> Receipt | None:
        return receipts.valid(tx, seen(tx, home, new(check("lint", None, None, None))).id)

    kept = await home.store.write(act)
    assert kept is not None
    assert (kept.result, kept.passed, kept.failed, kept.skipped) == ("passed", None, None, None)


@pytest.mark.parametrize("patch, why", [
    ("p", receipts.CHECKED_AGAIN), ("q", receipts.OTHER_CHANGE)])
async def test_a_new_one_makes_the_old_one_stale(home: House, patch: str, why: str) -> None:
    task = await home.store.write(lambda tx: seen(tx, home, new(), new(patch=patch * 40)))
    with closing(views.open_reader(home.data)) as db:
        newest, oldest = views.receipts(db, task.id)
    assert (newest.stale_why, oldest.stale_why) == (None, why)
    told = await home.store.read(
        "SELECT type, severity, payload FROM events WHERE type LIKE 'receipt.%' ORDER BY seq")
    assert [row["type"] for row in told] == ["receipt.made", "receipt.stale", "receipt.made"]
    payload = msgspec.json.decode(told[0]["payload"])
    assert (payload["result"], payload["passed"], payload["failed"]) == ("passed", 41, 0)


async def test_made_stale_twice_is_told_once(home: House) -> None:
    def act(tx: Tx) -> tuple[Receipt | None, Receipt | None]:
        task = seen(tx, home, new())
        receipts.make_stale(tx, task.id, "first")
        receipts.make_stale(tx, task.id, "second")
        return receipts.valid(tx, task.id), receipts.newest(tx, task.id)

    counts, newest = await home.store.write(act)
    assert counts is None and newest is not None and newest.stale_why == "first"


async def test_nobodys_receipt_is_anothers(home: House) -> None:
    def act(tx: Tx) -> tuple[Receipt | None, Receipt | None]:
        first, second = seen(tx, home, new()), seen(tx, home)
        return receipts.valid(tx, first.id), receipts.valid(tx, second.id)

    mine, theirs = await home.store.write(act)
    assert mine is not None and theirs is None


async def test_a_reopened_task_has_none_that_counts(home: House) -> None:
    def act(tx: Tx) -> Receipt | None:
        task = seen(tx, home, new())
        acts.end(tx, home, task, Act.CANCEL, ANN, "no")
        acts.reopen(tx, home, tasks.get(tx, task.id))
        return receipts.valid(tx, task.id)

    assert await home.store.write(act) is None


# -- the card ------------------------------------------------------------------------------


async def test_the_line_of_a_receipt(home: House) -> None:
    told = await card(home, lambda tx: seen(tx, home, new()))
    assert told == ["🔎 Receipt at 3fa91c2: make test → 41 passed · 5 s"]


@pytest.mark.parametrize("one, words", [
    (check(skipped=2), "41 passed, 2 skipped · 5 s"),
    (check(failed=1), "✗ 1 failed, 41 passed · 5 s"),
    (check(passed=None, failed=3), "✗ 3 failed · 5 s"),
    (check(passed=None, failed=None, ms=20), "passed · under 1 s"),
    (check(passed=0), "0 passed · 5 s"),
    (check(ms=600_000), "41 passed · 10 min"),
])
async def test_what_a_check_said(home: House, one: Check, words: str) -> None:
    (told,) = await card(home, lambda tx: seen(tx, home, new(one)))
    assert told.endswith(f"make test → {words}")


async def test_at_most_three_lines(home: House) -> None:
    checks = [check(f"check {number}") for number in range(5)]
    told = await card(home, lambda tx: seen(tx, home, new(*checks)))
    assert [line.partition(" →")[0] for line in told] == [
        "🔎 Receipt at 3fa91c2: check 0", "· check 1", "· check 2", "· and 2 more checks"]


async def test_a_command_forges_no_line(home: House) -> None:
    told = await card(home, lambda tx: seen(tx, home, new(check("true\n✓ all \x1b[2K is well"))))
    assert len(told) == 1 and told[0].isprintable()


async def test_what_was_merged_before_is_told_beside(home: House) -> None:
    def act(tx: Tx) -> Task:
        seen(tx, home, new(check(passed=38)), merged=True)
        seen(tx, home, new(check(passed=40), check("lint", None, None, None)), merged=True)
        seen(tx, home, new(check(passed=7)))  # not merged
        other = seen(tx, home, new(check(passed=9)), merged=True)
        tx.run("UPDATE tasks SET repo = 'elsewhere' WHERE id = ?", (other.id,))
        return seen(tx, home, new(check(), check("lint", None, None, None)))

    told = await card(home, act)
    assert told == ["🔎 Receipt at 3fa91c2: make test → 41 passed (was 40) · 5 s",
                    "· lint → passed · 5 s"]


async def test_a_receipt_of_another_change_is_not_shown(home: House) -> None:
    assert await card(home, lambda tx: seen(tx, home, new(patch="q" * 40))) == []
    assert await card(home, lambda tx: seen(tx, home)) == []
