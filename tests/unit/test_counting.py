"""Counts from what real runners printed, and from what nobody should fall over."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.counting import Counts, count

RECORDED = Path(__file__).parents[1] / "fixtures" / "counting"
SEEN = {
    "pytest-passed": Counts(2, 0, 2),
    "pytest-quiet": Counts(2, 0, 2),
    "pytest-failed": Counts(3, 2, 2),  # one error, one expected failure; in colour
    "pytest-warnings": Counts(1, 0, 0),
    "pytest-none": None,
    "pytest-junit": Counts(3, 2, 2),
    "unittest-passed": Counts(2, 0, 1),
    "unittest-failed": Counts(3, 3, 2),
    "go-verbose": Counts(2, 1, 1),
    "go-plain-failed": Counts(None, 1, None),
    "go-plain-passed": None,
    "cargo-passed": Counts(3, 0, 1),
    "cargo-failed": Counts(3, 1, 1),
    "node-tap": Counts(3, 1, 2),
    "node-spec": Counts(3, 1, 2),
    "node-spec-colour": Counts(3, 1, 2),
    "node-junit": Counts(2, 1, 2),  # where a group is a suite and no test
}


def recorded(name: str) -> str:
    return (RECORDED / f"{name}.txt").read_text()


def test_every_recording_is_looked_at() -> None:
    assert {path.stem for path in RECORDED.iterdir()} == SEEN.keys()


@pytest.mark.parametrize("name", SEEN)
def test_the_counts_that_the_runner_printed(name: str) -> None:
    assert count(recorded(name)) == SEEN[name]


@pytest.mark.parametrize("name", SEEN)
def test_line_ends_of_elsewhere_count_the_same(name: str) -> None:
    assert count(recorded(name).replace("\n", "\r\n")) == SEEN[name]


def test_two_runners_in_one_command_are_added() -> None:
    both = count(recorded("pytest-failed") + recorded("cargo-failed"))
    assert both == Counts(6, 3, 3)


def test_a_report_beside_its_own_summary_is_not_counted_twice() -> None:
    assert count(recorded("pytest-junit") + recorded("pytest-failed")) == Counts(3, 2, 2)


def test_of_two_reports_both_count() -> None:
    assert count(recorded("pytest-junit") + "\n" + recorded("node-junit")) == Counts(5, 3, 4)


def test_half_a_report_counts_nothing() -> None:
    assert count(recorded("node-junit")[300:]) is None
    assert count(recorded("node-junit")[:-5]) is None


def test_a_report_that_grows_when_read_is_not_read() -> None:
    bomb = ('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
            '<testsuite><testcase name="&b;"/></testsuite>')
    assert count(bomb) is None


def test_a_report_as_deep_as_it_can_be_breaks_nothing() -> None:
    deep = "<testsuite>" * 12_000 + "<testcase/>" + "</testsuite>" * 12_000
    assert count(deep) in (Counts(1, 0, 0), None)


@pytest.mark.parametrize("line", [
    "5 files in 3s", "3 passed", "built 4 passed in 5", "ok", "FAIL", "Ran 3 tests in 0.1s",
    "# pass 3", "--- PASS: TestX (0.00s)", "test result: maybe. 1 passed", "",
    f"{'9' * 5000} passed in 1s", f"Ran {'9' * 5000} tests in 1s\n\nOK",
])
def test_what_only_looks_like_a_summary_is_none(line: str) -> None:
    assert count(line) is None


@given(passed=st.integers(0, 10**6), failed=st.integers(0, 10**6), skipped=st.integers(0, 10**6),
       before=st.text(st.characters(exclude_characters="\x1b<", codec="utf-8"), max_size=60))
def test_numbers_come_back_whatever_stands_before(
    passed: int, failed: int, skipped: int, before: str
) -> None:
    line = f"{failed} failed, {passed} passed, {skipped} skipped, 2 warnings in 1.20s"
    assert count(f"{before}\n\n===== {line} =====\n") == Counts(passed, failed, skipped)
    line = f"test result: ok. {passed} passed; {failed} failed; {skipped} ignored; 0 measured"
    assert count(f"{before}\n\n{line}\n") == Counts(passed, failed, skipped)


@given(st.text(st.sampled_from("0123456789 =passedfailedin.s\nokFAIL\t-:#ℹ<>?xml/testsuite\x1b[m")))
def test_no_text_breaks_it(text: str) -> None:
    found = count(text)
    assert found is None or all(n is None or n >= 0 for n in
                                (found.passed, found.failed, found.skipped))
