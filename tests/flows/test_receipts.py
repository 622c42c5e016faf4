"""What Bullpen itself has seen of a change, before a person decides and before it is merged."""

from __future__ import annotations

import sys

import pytest

from tests.flows.bench import Bench, Ran

SANDBOXES = ("host", "auto")
UNIT = "py -m unittest -q test_shop"
TEST = """import unittest

class Shop(unittest.TestCase):
    def test_it_greets(self):
        import shop
        self.assertTrue(shop.greeting)

    def test_it_is_open(self):
        pass
"""


@pytest.fixture
def shop(bench: Bench) -> Bench:
    """A shop with two tests, its check in the configuration."""
    (bench.folder / "bin" / "py").symlink_to(sys.executable)
    bench.commit({"shop.py": "greeting = 'hi'\n", "test_shop.py": TEST, ".gitignore": "local\n"})
    configure(bench, UNIT)
    return bench


def configure(bench: Bench, check: str) -> None:
    bench.configure(f"[repos.shop]\nsource = '{bench.repo}'\ncheck = '{check}'\n")


def up(bench: Bench, *lines: str, status: int = 0) -> Ran:
    return bench.up(*lines, repo=None, status=status)


def add(title: str, script: str, more: str = "") -> str:
    return f'/add "{title}" --run "sh -c \'{script}\'"{more}'


def receipts(bench: Bench) -> list[tuple[int, str, bool]]:
    return [(row["task_id"], row["result"], row["stale_at"] is None)
            for row in bench.rows("SELECT * FROM receipts ORDER BY id")]


def test_a_repository_by_the_command_line_keeps_its_check(shop: Bench) -> None:
    configure(shop, "false")
    ran = shop.up(add("A file", "date > now.txt"), status=1)
    assert receipts(shop)[0][1] == "failed", ran
    assert "Approve" not in ran.out


def test_the_card_shows_what_ran_at_which_commit(shop: Bench) -> None:
    ran = up(shop, add("Wave", "echo wave=1 >> shop.py"))
    (row,) = shop.rows("SELECT * FROM receipts")
    ran.said("G-1 · TASK-001", f"Receipt at {row['commit_id'][:7]}: ", "test_shop → 2 passed")
    assert "Checks:" not in ran.out and "(was" not in ran.out
    assert (row["result"], row["passed"], row["failed"], row["skipped"]) == ("passed", 2, 0, 0)
    assert (row["files"], row["added"], row["removed"], row["stale_at"]) == (1, 1, 0, None)
    task = shop.rows("SELECT * FROM tasks")[0]
    assert (row["commit_id"], row["base"]) == (task["head_commit"], shop.git("rev-parse", "main"))
    assert shop.value("SELECT count(*) FROM events WHERE type = 'receipt.made'") == 1
    up(shop, "/approve 1").said("done · merged")
    assert len(receipts(shop)) == 1, "nothing moved: what was seen is what was merged"
    up(shop, add("Nod", "echo nod=1 >> shop.py")).said("2 passed · ")


def test_each_command_has_its_line_and_a_box_has_none(shop: Bench) -> None:
    ran = up(shop, add("Wave", "echo 1 > wave.txt"), "- [ ] `true 1` holds",
             "- [ ] it is polite", *(f"- [ ] `true {number}`" for number in (2, 3, 4)))
    ran.said("test_shop → 2 passed", "· true 1 → passed · under 1 s", "· true 2 → passed",
             "· and 2 more checks", "☐ it is polite")
    assert "true 3 →" not in ran.out
    states = [row[0] for row in shop.rows("SELECT state FROM criteria ORDER BY position")]
    assert states == ["passed", "open", "passed", "passed", "passed"]


def test_without_a_command_there_is_no_receipt(bench: Bench) -> None:
    ran = bench.up(add("Wave", "echo 1 > wave.txt"), "/approve 1")
    ran.said("G-1 · TASK-001", "done · merged")
    assert "Receipt" not in ran.out
    assert receipts(bench) == []


def test_what_git_does_not_know_counts_nothing(shop: Bench) -> None:
    """An ignored file in the workspace, and another in the agent's home."""
    configure(shop, "test -e local || test -e $HOME/local")
    ran = up(shop, add("Cheat", "touch local; touch $HOME/local; echo 1 > wave.txt"), status=1)
    ran.said("TASK-001", "failed")
    assert "G-1" not in ran.out
    assert {result for _, result, _ in receipts(shop)} == {"failed"}
    left = list((shop.data / "sessions").glob("*/receipts"))
    assert left == [], "a checkout was left"


def test_the_checks_may_write_and_nothing_of_it_stays(shop: Bench) -> None:
    configure(shop, "echo made > wave.txt; git status --porcelain; touch new; ln -s / link")
    up(shop, add("Wave", "echo 1 > wave.txt"), "/approve 1").said("done · merged")
    assert shop.file("wave.txt") == "1\n"
    assert shop.file("new") is None


def test_what_is_sent_back_makes_the_receipt_stale(shop: Bench) -> None:
    up(shop, add("Wave", "echo again >> wave.txt"))
    ran = up(shop, "/reject 1 More")
    ran.said("G-2 · TASK-001", "Receipt at", "2 passed")
    assert receipts(shop) == [(1, "passed", False), (1, "passed", True)]
    assert shop.value("SELECT stale_why FROM receipts") == "the change is another one now"
    assert shop.value("SELECT count(*) FROM events WHERE type = 'receipt.stale'") == 1


def test_the_second_of_two_is_seen_again_on_the_first(shop: Bench) -> None:
    up(shop, add("Wave", "echo 1 > wave.txt"), add("Nod", "echo 1 > nod.txt"))
    ran = up(shop, "/approve 1", "/approve 2")
    ran.said("TASK-001 done · merged", "TASK-002 done · merged")
    seen = receipts(shop)
    assert seen == [(1, "passed", True), (2, "passed", False), (2, "passed", True)]
    assert shop.value("SELECT count(*) FROM gates") == 2, "one gate each"
    first, second = shop.rows("SELECT merge_commit FROM tasks ORDER BY id")
    row = shop.rows("SELECT * FROM receipts ORDER BY id")[-1]
    assert (row["base"], row["commit_id"]) == (first[0], second[0]), "what was seen was merged"
    assert shop.value("SELECT stale_why FROM receipts WHERE task_id = 2") == (
        "the same change was checked again")


MENDING = """
if [ -e more.py ]; then
  commit=$(grep -o "Merge the commit [0-9a-f]*" "$1" | tail -1 | cut -d" " -f4)
  git merge --quiet -m both "$commit" && sed -i s/greeting/salute/ more.py
else
  echo "import shop; print(shop.greeting)" > more.py
fi
"""


def test_what_fails_together_goes_back_and_is_shown_again(shop: Bench) -> None:
    """Each passes alone: the first renames what the second has begun to use."""
    configure(shop, "test ! -e more.py || py more.py")
    script = shop.shown / "mending.sh"
    script.write_text(MENDING)
    up(shop, add("Rename", "sed -i s/greeting/salute/ shop.py test_shop.py"),
       f'/add "Use" --run "sh {script} {{prompt_file}}"')
    ran = up(shop, "/approve 1", "/approve 2")
    ran.said("TASK-001 done · merged")
    ran.said("TASK-002 doesn't go together with the main branch", "more.py` failed",
             "G-3 · TASK-002 is ready for you", "Receipt at")
    assert "TASK-002 done" not in ran.out
    first = shop.value("SELECT merge_commit FROM tasks")
    told = shop.prompts(2)[1]
    assert first in told and "has no attribute 'greeting'" in told
    assert shop.value("SELECT cause FROM iterations WHERE number = 2") == "conflict"
    assert receipts(shop)[1:] == [(2, "passed", False), (2, "failed", False), (2, "passed", True)]
    up(shop, "/approve 2").said("TASK-002 done · merged")
    assert "salute" in (shop.file("more.py") or "")
    assert len(receipts(shop)) == 4, "nothing moved since"


def test_a_change_that_became_another_one_is_seen_before_it_is_shown(shop: Bench) -> None:
    shop.commit({"list.txt": "one\ntwo\nthree\nfour\nfive\n"})
    up(shop, add("Shout", "sed -i 1s/one/ONE/ list.txt"))
    shop.commit({"list.txt": "one\ntwo\nTHREE\nfour\nfive\n"})
    ran = up(shop, "/approve 1")
    ran.said("G-2 · TASK-001 is ready for you", "Receipt at", "2 passed", "no longer the one")
    assert receipts(shop) == [(1, "passed", False), (1, "passed", True)]
    up(shop, "/approve 1").said("done · merged")
    assert len(receipts(shop)) == 2, "nothing moved since"


def test_a_check_that_came_after_the_review_is_run_before_the_merge(shop: Bench) -> None:
    shop.configure(f"[repos.shop]\nsource = '{shop.repo}'\n")
    up(shop, add("Wave", "echo again >> wave.txt"))
    assert receipts(shop) == []
    configure(shop, "test $(wc -l < wave.txt) = 2")
    up(shop, "/approve 1").said("test $(wc -l < wave.txt) = 2` failed", "G-2 · TASK-001")
    assert receipts(shop) == [(1, "failed", False), (1, "passed", True)]
    up(shop, "/approve 1").said("done · merged")


def test_reopened_it_counts_no_more(shop: Bench) -> None:
    up(shop, add("Wave", "echo 1 >> wave.txt"), "/approve 1").said("done · merged")
    up(shop, "/reopen 1").said("G-2 · TASK-001")
    why = shop.value("SELECT stale_why FROM receipts ORDER BY id")
    assert why == "the task was reopened"
    assert receipts(shop) == [(1, "passed", False), (1, "passed", True)]


def test_a_check_that_is_another_one_by_now_is_run_before_the_merge(shop: Bench) -> None:
    up(shop, add("Wave", "echo again >> wave.txt")).said("G-1 · TASK-001")
    configure(shop, "test $(wc -l < wave.txt) = 2")
    up(shop, "/approve 1").said("test $(wc -l < wave.txt) = 2` failed", "G-2 · TASK-001")
    assert shop.value("SELECT stale_why FROM receipts ORDER BY id") == "other checks are wanted now"
    up(shop, "/approve 1").said("done · merged")


def test_a_criterion_edited_at_the_gate_is_run_before_the_merge(shop: Bench) -> None:
    up(shop, add("Wave", "echo again >> wave.txt"),
       "/edit 1\n- [ ] `test $(wc -l < wave.txt) = 2`")
    ran = up(shop, "/approve 1")
    ran.said("is not merged, what is wanted of it by now fails", "wc -l", "G-2 · TASK-001")
    assert shop.value("SELECT merge_commit FROM tasks") is None
    up(shop, "/approve 1").said("done · merged")
