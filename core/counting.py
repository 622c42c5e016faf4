"""How many tests passed, failed and were skipped, read from what a runner printed.

Known: pytest, unittest, go test, cargo test, node --test (TAP and spec), and JUnit XML printed
to the output. The text is an untrusted program's: counts are shown to people, the exit status
decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

_ANSI = re.compile(r"\x1b\[[0-9;:?]*[A-Za-z]")
_PYTEST = re.compile(
    r"^=*[ \t]?(\d{1,9} [a-z]+(?:, \d{1,9} [a-z]+(?: passed)?)*) in \d[\d.]*s\b[^\n]*$",
    re.MULTILINE,
)
_PYTEST_WORDS = {
    "passed": "passed",
    "xpassed": "passed",
    "failed": "failed",
    "error": "failed",
    "errors": "failed",
    "skipped": "skipped",
    "xfailed": "skipped",
}
_PYTEST_OTHERS = {"warning", "warnings", "deselected", "rerun", "reruns", "subtests"}
_UNITTEST = re.compile(
    r"^Ran (\d{1,9}) tests? in [\d.]+s\n+(?:OK|FAILED|NO TESTS RAN)(?: \(([^()\n]*)\))?$",
    re.MULTILINE,
)
_UNITTEST_WORDS = {
    "failures": "failed",
    "errors": "failed",
    "unexpected successes": "failed",
    "skipped": "skipped",
    "expected failures": "skipped",
}
_GO_END = re.compile(r"^(?:ok  |FAIL)\t\S+\t", re.MULTILINE)
_GO_RUN = re.compile(r"^=== RUN ", re.MULTILINE)
_GO_TEST = re.compile(r"^--- (PASS|FAIL|SKIP): \S", re.MULTILINE)
_CARGO = re.compile(
    r"^test result: (?:ok|FAILED)\. (\d{1,9}) passed; (\d{1,9}) failed; (\d{1,9}) ignored;",
    re.MULTILINE,
)
_NODE = re.compile(
    r"^([#ℹ]) tests \d+\n(?:\1 suites \d+\n)?\1 pass (\d{1,9})\n\1 fail (\d{1,9})\n"
    r"\1 cancelled (\d{1,9})\n\1 skipped (\d{1,9})\n\1 todo (\d{1,9})$",
    re.MULTILINE,
)
_SUITE = re.compile(r"<(testsuites?)\b")


@dataclass(frozen=True, slots=True)
class Counts:
    """Tests by how they ended; None: the runner doesn't say. An expected failure is among the
    skipped, an error among the failed."""

    passed: int | None = None
    failed: int | None = None
    skipped: int | None = None

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            _plus(self.passed, other.passed),
            _plus(self.failed, other.failed),
            _plus(self.skipped, other.skipped),
        )


def count(output: str) -> Counts | None:
    """The tests of all runs in an output; None where no runner is known that printed any. JUnit
    XML is read only where there is no runner's own summary: it would be the same tests again."""
    text = _ANSI.sub("", output).replace("\r\n", "\n")
    found = [counts for read in (_pytest, _unittest, _go, _cargo, _node) for counts in read(text)]
    return _total(found or list(_junit(text)))


def _total(found: list[Counts]) -> Counts | None:
    if not found:
        return None
    total = found[0]
    for counts in found[1:]:
        total += counts
    return total


def _plus(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other


def _pytest(text: str) -> Iterator[Counts]:
    for line in _PYTEST.finditer(text):
        words = [part.split(" ") for part in line.group(1).split(", ")]
        names = {word[1] for word in words}
        if names & _PYTEST_WORDS.keys() and names <= _PYTEST_WORDS.keys() | _PYTEST_OTHERS:
            yield _tally((_PYTEST_WORDS.get(word[1]), int(word[0])) for word in words)


def _unittest(text: str) -> Iterator[Counts]:
    for found in _UNITTEST.finditer(text):
        pairs = [part.partition("=") for part in (found.group(2) or "").split(", ") if part]
        told = _tally((_UNITTEST_WORDS.get(name), _number(value)) for name, _, value in pairs)
        left = int(found.group(1)) - (told.failed or 0) - (told.skipped or 0)
        yield Counts(max(0, left), told.failed, told.skipped)


def _go(text: str) -> Iterator[Counts]:
    """Whole tests, not their parts. Without `-v` only the failed ones are printed."""
    if not _GO_END.search(text):
        return
    ends = _GO_TEST.findall(text)
    if _GO_RUN.search(text):
        yield Counts(ends.count("PASS"), ends.count("FAIL"), ends.count("SKIP"))
    elif "FAIL" in ends:
        yield Counts(failed=ends.count("FAIL"))


def _cargo(text: str) -> Iterator[Counts]:
    for found in _CARGO.finditer(text):
        yield Counts(*map(int, found.groups()))


def _node(text: str) -> Iterator[Counts]:
    for found in _NODE.finditer(text):
        passed, failed, cancelled, skipped, todo = map(int, found.groups()[1:])
        yield Counts(passed, failed + cancelled, skipped + todo)


def _junit(text: str) -> Iterator[Counts]:
    """Each document apart; what isn't whole is left out."""
    for document in text.split("<?xml"):
        begin = _SUITE.search(document)
        end = document.rfind("</testsuites>")
        if begin is None or (end >= 0 and begin.group(1) != "testsuites"):
            continue
        closing = f"</{begin.group(1)}>"
        end = document.rfind(closing)
        try:
            yield _cases(fromstring(document[begin.start() : end + len(closing)]))
        except (ParseError, DefusedXmlException, ValueError):
            continue


def _cases(root: Element) -> Counts:
    ends = [
        "failed" if {"failure", "error"} & tags else "skipped" if "skipped" in tags else "passed"
        for tags in ({child.tag for child in case} for case in root.iter("testcase"))
    ]
    return Counts(ends.count("passed"), ends.count("failed"), ends.count("skipped"))


def _tally(pairs: Iterator[tuple[str | None, int]]) -> Counts:
    told = {"passed": 0, "failed": 0, "skipped": 0}
    for name, number in pairs:
        if name is not None:
            told[name] += number
    return Counts(**told)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 10 else 0
