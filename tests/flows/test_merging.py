"""An approval and what may come between it and the merge."""

from __future__ import annotations

from tests.flows.bench import Bench

GREETING = '/add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"'


def test_a_dirty_checkout_waits_and_the_approval_stays_valid(bench: Bench) -> None:
    bench.up(GREETING)
    (bench.repo / "README.md").write_text("# Shop, half edited\n")
    ran = bench.up("/approve 1", "/task 1", "/approve 1")
    ran.said("G-1 approved", "TASK-001 is approved, but can't be merged yet",
             "uncommitted changes", "approved, the merge waits")
    assert ran.out.count("but can't be merged yet") == 1, ran.out
    assert bench.file("greeting.txt") is None
    assert bench.file("README.md") == "# Shop, half edited\n"
    bench.commit({}, "Edited")
    bench.up().said("TASK-001 done · merged")
    assert (bench.file("greeting.txt"), bench.file("README.md")) == (
        "hello\n", "# Shop, half edited\n")
    assert bench.value("SELECT count(*) FROM gates") == 1


def test_a_main_branch_that_moved_elsewhere_needs_no_new_approval(bench: Bench) -> None:
    bench.up(GREETING)
    bench.commit({"other.txt": "work of somebody else\n"})
    bench.up("/approve 1").said("done · merged")
    assert bench.file("greeting.txt") == "hello\n"
    assert bench.file("other.txt") == "work of somebody else\n"


def test_a_conflict_is_sent_back_with_the_files(bench: Bench) -> None:
    bench.up(GREETING)
    bench.commit({"greeting.txt": "good morning\n"})
    ran = bench.up("/approve 1")
    ran.said("TASK-001 conflicts with the main branch in greeting.txt",
             "G-2 · TASK-001 is ready for you")
    assert bench.file("greeting.txt") == "good morning\n"
    second = bench.prompts()[1]
    assert "greeting.txt" in second and "conflicts" in second
    assert bench.value("SELECT cause FROM iterations WHERE number = 2") == "conflict"


def test_a_change_that_became_another_one_opens_a_new_gate(bench: Bench) -> None:
    bench.commit({"list.txt": "one\ntwo\nthree\nfour\nfive\n"})
    bench.up('/add "Shout" --run "sed -i 1s/one/ONE/ list.txt"')
    bench.commit({"list.txt": "one\ntwo\nTHREE\nfour\nfive\n"})
    ran = bench.up("/approve 1", "/approve 1")
    ran.said("G-1 approved", "G-2 · TASK-001 is ready for you",
             "no longer the one you approved", "G-2 approved", "done · merged")
    assert bench.file("list.txt") == "ONE\ntwo\nTHREE\nfour\nfive\n"


def test_the_new_gate_shows_what_it_is_bound_to(bench: Bench) -> None:
    first = bench.up('/add "Add two" --run "sh -c \'echo one > a; echo two > b\'"')
    first.said("G-1 · TASK-001", "a +1 −0 · b +1 −0")
    bench.commit({"a": "one\n"}, "The same by hand")
    ran = bench.up("/approve 1", "/show 1")
    ran.said("G-2 · TASK-001", "📝 b +1 −0", "no longer the one you approved",
             "TASK-001 · 📝 b +1 −0", "+two")
    shown = ran.out[ran.out.index("🧾 G-2"):]
    assert "a +1" not in shown and "+one" not in shown, shown
    again = bench.up("/approve 1")
    again.said("G-2 approved", "done · merged")
    assert (bench.file("a"), bench.file("b")) == ("one\n", "two\n")
    assert bench.value("SELECT count(*) FROM gates") == 2
    branch = bench.value("SELECT head_commit FROM tasks")
    assert bench.git("rev-parse", "HEAD^2") == branch, "the agent's own commits are merged"


def test_a_new_gate_over_nothing_merges_nothing(bench: Bench) -> None:
    bench.up(GREETING)
    bench.commit({"greeting.txt": "hello\n"}, "The same by hand")
    by_hand = bench.git("rev-parse", "HEAD")
    ran = bench.up("/approve 1", "/show 1", "/approve 1")
    ran.said("G-2 · TASK-001", "No file was changed", "no longer the one you approved",
             "no file was changed", "There is nothing to merge", "TASK-001 done")
    assert bench.git("rev-parse", "HEAD") == by_hand


def test_without_checked_out_branch_only_the_branch_moves(bench: Bench) -> None:
    bench.git("checkout", "--quiet", "-b", "elsewhere")
    bench.configure(f"[repos.shop]\nsource = '{bench.repo}'\nbranch = 'main'\n")
    bench.up(GREETING, "/approve 1", repo=None).said("done · merged")
    assert bench.file("greeting.txt") is None
    assert bench.git("show", "main:greeting.txt") == "hello"
