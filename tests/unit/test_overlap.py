"""Which globs share a path, and which tasks may therefore work at the same time."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.planning.overlap import Clash, Work, batch, exactly, overlap, shown

NAMES = ("a", "b", "c", "ab")
PATHS = ["/".join(parts) for depth in range(1, 8)
         for parts in itertools.product(NAMES, repeat=depth)]
"""Deep enough for two globs of three segments and two, each with a slash at its end."""


def meaning(glob: str) -> re.Pattern[str]:
    """A glob as a regular expression; a path is asked with a slash at its end."""
    parts = [part for part in glob.split("/") if part not in ("", ".")]
    words = [r"(?:[^/]+/)*" if part == "**" else part_words(part) + "/" for part in parts]
    if parts[-1] == "**":
        words[-1] = "(?:[^/]+/)+"
    elif glob.endswith("/"):
        words.append("(?:[^/]+/)+")
    elif not set(glob) & set("*?["):
        words.append("(?:[^/]+/)*")
    return re.compile("".join(words))


def part_words(part: str) -> str:
    """A segment as a regular expression; `(?!/)` since a name is never empty."""
    found, at = "(?!/)", 0
    while at < len(part):
        mark, at = part[at], at + 1
        group = re.match(r"([!^]?)(.[^\]]*)\]", part[at:]) if mark == "[" else None
        if mark in "*?":
            found += "[^/]" + ("*" if mark == "*" else "")
        elif group is not None:
            within = "".join(c for c in "abc-[]*?!^x" if in_group(c, group[2]) != bool(group[1]))
            found += f"[{re.escape(within)}]" if within else "(?!)"
            at += group.end()
        else:
            found += re.escape(mark)
    return found


def in_group(char: str, inner: str) -> bool:
    at = 0
    while at < len(inner):
        if inner[at + 1:at + 2] == "-" and at + 2 < len(inner):
            if inner[at] <= char <= inner[at + 2]:
                return True
            at += 3
        else:
            if inner[at] == char:
                return True
            at += 1
    return False


SEGMENT = st.sampled_from([
    "a", "b", "ab", "*", "**", "?", "a*", "*b", "??", "*a*", "[ab]", "[!a]", "[^ab]", "[a-b]",
    "a?", "[b-a]", "[ba]", "a[b]", "?*", "***", "[ab]*"])


def globs(most: int) -> st.SearchStrategy[str]:
    return st.builds(
        lambda start, parts, end: start + "/".join(parts) + end,
        st.sampled_from(["", "./"]), st.lists(SEGMENT, min_size=1, max_size=most),
        st.sampled_from(["", "/"]))


@settings(max_examples=150, deadline=None)
@given(globs(3), globs(2))
def test_two_globs_overlap_where_some_path_is_matched_by_both(a: str, b: str) -> None:
    one, other = meaning(a), meaning(b)
    shared = next((p for p in PATHS if one.fullmatch(f"{p}/") and other.fullmatch(f"{p}/")), None)
    assert overlap(a, b) == overlap(b, a) == (shared is not None), shared


WORDS = ["".join(marks) for size in range(1, 7) for marks in itertools.product("abc", repeat=size)]
MARK = st.sampled_from(["a", "b", "c", "*", "*", "?", "[ab]", "[!a]", "[^b]", "[a-c]", "[ba]"])


@settings(max_examples=300, deadline=None)
@given(st.lists(MARK, min_size=1, max_size=3), st.lists(MARK, min_size=1, max_size=3))
def test_two_names_overlap_where_some_word_is_matched_by_both(a: list[str], b: list[str]) -> None:
    one, other = meaning("".join(a) + "*"), meaning("*" + "".join(b))
    shared = next((w for w in WORDS if one.fullmatch(f"{w}/") and other.fullmatch(f"{w}/")), None)
    assert overlap("".join(a) + "*", "*" + "".join(b)) == (shared is not None), shared


@pytest.mark.parametrize(("a", "b", "meet"), [
    ("src/api/*.py", "src/api/app.py", True), ("src/api/*.py", "src/api/v1/app.py", False),
    ("src/**/*.py", "src/api/v1/app.py", True), ("src/**/*.py", "src/app.py", True),
    ("src/", "src/api/app.py", True), ("src", "src/api/app.py", True), ("src/", "src", True),
    ("src/*", "docs/*", False), ("**/*.py", "docs/**", True), ("**/*.py", "docs/*.md", False),
    ("**", "anything", True), (".", "src/x", True), ("", "src/x", True), ("/src/x", "src/x", True),
    ("src/a", "src/ab", False), ("a*c", "ab*", True), ("a*c", "b*", False),
    ("[a-m]*.py", "[n-z]*.py", False), ("[!a]x", "ax", False), ("[!a]x", "bx", True),
    ("x[", "x[", True), ("x[", "x", False), ("[z-a]", "*", False), ("*/[z-a]", "**", False),
    ("[-a]x", "-x", True), ("[a-]x", "-x", True), ("[]a]x", "]x", True), ("[!]]", "]", False),
    ("**/a/**/b", "a/b", True), ("**/a/**/b", "b/?", False), ("ü*", "[à-ÿ]x", True),
])
def test_examples(a: str, b: str, meet: bool) -> None:
    assert overlap(a, b) is meet
    assert overlap(b, a) is meet


@given(st.text("ab[]*?!/", min_size=1).filter(lambda path: path.strip("/") and "//" not in path))
def test_a_file_of_any_name_means_itself(path: str) -> None:
    path = path.strip("/")
    glob = exactly(path)
    assert overlap(glob, glob)
    assert not overlap(glob, exactly(f"{path}x"))
    assert shown(exactly("app/[id]/*.ts")) == "app/[id]/*.ts"


# -- batches -----------------------------------------------------------------------------------

WORK = st.builds(
    Work, st.integers(1, 10**6), st.sampled_from(["shop", "site", None]),
    st.lists(globs(3) | st.sampled_from(PATHS[:80]), max_size=3).map(tuple))


@settings(deadline=None)
@given(st.lists(WORK, max_size=12, unique_by=lambda work: work.id), st.integers(0, 4))
def test_no_two_of_a_batch_touch_the_same_files(tasks: list[Work], busy: int) -> None:
    running, waiting = tasks[:busy], tasks[busy:]
    found = batch(waiting, running)
    known = {work.id: work for work in tasks}
    gone = [known[number] for number in found.go]
    for one, other in itertools.combinations(gone, 2):
        assert not clashes(one, other)
    for one in gone:
        assert not any(clashes(one, other) for other in running)
    for number, clash in found.held.items():
        assert clashes(known[number], known[clash.by])
        assert clash.by in found.go or known[clash.by] in running
    assert list(found.go) == [work.id for work in waiting if work.id in found.go]
    assert sorted([*found.go, *found.held]) == sorted(work.id for work in waiting)


def clashes(one: Work, other: Work) -> bool:
    return one.repo == other.repo and any(
        overlap(a, b) for a in one.globs for b in other.globs)


def test_the_first_in_order_goes_and_says_where() -> None:
    found = batch([Work(6, "shop", ("src/api/*.py",)), Work(4, "shop", ("src/api/app.py",)),
                   Work(5, "shop", ("src/api/app.py", "docs/")), Work(7, "shop", ("docs/x",)),
                   Work(8, "site", ("src/",)), Work(9, "shop", ())])
    assert found.go == (6, 7, 8, 9)
    assert found.held == {4: Clash(6, "src/api/app.py"), 5: Clash(6, "src/api/app.py")}


def test_what_runs_goes_before_all() -> None:
    found = batch([Work(1, None, ("a",)), Work(2, None, ("b",))], [Work(9, None, ("a/b/c",))])
    assert (found.go, found.held) == ((2,), {1: Clash(9, "a/b/c")})


def test_a_thousand_tasks_of_paths_of_their_own_are_hardly_compared() -> None:
    tasks = [Work(n, "shop", (f"src/part{n}/*.py", f"src/part{n}.md")) for n in range(1000)]
    before = overlap.__globals__["_share"].cache_info()
    assert len(batch(tasks).go) == 1000
    after = overlap.__globals__["_share"].cache_info()
    assert after.hits + after.misses - before.hits - before.misses < 3000
