"""A typed line as a command, for whatever is typed."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.commands.grammar import LONGEST, Command, Form, Option, gate_id, parse, task_id
from core.commands.verbs import FORMS
from core.errors import Unclear
from core.model import Role

ADD = Form("add", "/add TITLE", Role.OPERATOR, "a new task", (
    Option("priority", short="p"), Option("run"), Option("tag", many=True),
    Option("draft", value=False)))
SAY = Form("say", "/say 42 TEXT", Role.OPERATOR, "tell", free=True)
STATUS = Form("status", "/status", Role.VIEWER, "how it stands")
LIST = Form("list", "/list [STATE]", Role.VIEWER, "tasks", (
    Option("n", short="n"), Option("page")))
SMALL = {"list": LIST, "add": ADD, "say": SAY, "status": STATUS}

line_of_text = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=60)
word = st.text(string.ascii_letters + string.digits + "äß漢.,/:_", min_size=1, max_size=12)


@given(st.text(max_size=200))
def test_whatever_is_typed_is_a_command_or_one_clear_line(text: str) -> None:
    try:
        command = parse(text, FORMS)
    except Unclear as error:
        assert str(error).strip() and "\n" not in str(error)
        assert len(str(error)) < 400
    else:
        assert command.name in FORMS


@given(st.sampled_from(sorted(FORMS)), st.text(max_size=200))
def test_whatever_follows_a_verb_is_a_command_or_one_clear_line(verb: str, rest: str) -> None:
    try:
        assert parse(f"/{verb} {rest}", FORMS).name == verb
    except Unclear as error:
        assert str(error).strip()


@given(st.lists(word, min_size=1, max_size=6))
def test_words_stay_words_in_their_order(words: list[str]) -> None:
    assert parse("/add " + " ".join(words), SMALL) == Command("add", tuple(words))


@given(line_of_text)
def test_what_is_quoted_is_one_word_as_it_stands(text: str) -> None:
    # The quote ends where the first closing one before a space stands.
    text = text.replace('"', "'").replace("\\", "/")
    assert parse(f'/add "{text}"', SMALL).words == (text,)


@given(line_of_text)
def test_a_quoted_value_may_hold_quotes_of_the_other_kind(text: str) -> None:
    text = f"sh -c '{text}'".replace('"', "").replace("\\", "/")
    assert parse(f'/add T --run "{text}"', SMALL).options == {"run": text}
    assert parse(f'/add T --run="{text}"', SMALL).options == {"run": text}


@given(word, line_of_text, line_of_text)
def test_a_free_verb_takes_all_that_follows_as_it_stands(to: str, one: str, two: str) -> None:
    command = parse(f"/say {to} {one} --run -p\n{two}", SMALL)
    assert command.words == (to,)
    assert command.text == f"{one} --run -p\n{two}".strip()
    assert not command.options


@pytest.mark.parametrize(("typed", "options"), [
    ("--priority high", {"priority": "high"}), ("-p high", {"priority": "high"}),
    ("--priority=high", {"priority": "high"}), ("-p=high", {"priority": "high"}),
    ("—priority high", {"priority": "high"}), ("–p high", {"priority": "high"}),
    ("--run “make test”", {"run": "make test"}), ("--run „make test“", {}),
    ("--run 'make test'", {"run": "make test"}), ('--run="a \\"b\\" c"', {"run": 'a "b" c'}),
    ("--draft", {"draft": "yes"}), ("-p high -p low", {"priority": "low"}),
])
def test_options_as_phones_and_people_type_them(typed: str, options: dict[str, str]) -> None:
    command = parse(f"/add Title {typed}", SMALL)
    assert command.words[0] == "Title"
    if options:
        assert command.options == options and command.words == ("Title",)


def test_an_option_many_times() -> None:
    assert parse("/add T --tag a --tag=b", SMALL).many == {"tag": ("a", "b")}


def test_a_dash_or_a_number_is_no_option() -> None:
    assert parse("/add A - B -5 don't", SMALL).words == ("A", "-", "B", "-5", "don't")
    assert parse('/add "--run" x', SMALL).words == ("--run", "x")


def test_what_follows_the_first_line_is_the_text() -> None:
    command = parse("/add@some_bot Title\nfirst\n\n- [ ] box --run x  \n", SMALL)
    assert (command.name, command.words) == ("add", ("Title",))
    assert command.text == "first\n\n- [ ] box --run x"


@pytest.mark.parametrize(("typed", "words"), [
    ("/ad x", "Did you mean /add TITLE"), ("xyzzy", "There is no /xyzzy"), ("", "Say a command"),
    ("/add T --prio high", "Did you mean --priority?"), ("/add T --zzz", "It knows --priority"),
    ("/add T --run", "--run needs a value"), ("/add T --run ''", "--run needs a value"),
    ("/add T --draft=yes", "takes no value"), ('/add "T', "never closed"),
    ("/statu", "Did you mean /status?"), ("/list -x", "It knows -n, --page."),
    ("/list -n", "-n needs a value"),
    ("/status --all", "It takes no options"), ("/status now", "stands alone"),
    ("/add " + "x" * LONGEST, "Attach the rest as a file"),
])
def test_what_is_wrong_and_what_to_type(typed: str, words: str) -> None:
    with pytest.raises(Unclear, match=words.replace("?", r"\?")):
        parse(typed, SMALL)


@given(st.integers(1, 999_999_999))
def test_a_task_by_any_of_its_names(number: int) -> None:
    names = (f"{number}", f"TASK-{number:03d}", f"task-{number}", f"task{number}", f"#{number}")
    assert [task_id(name) for name in names] == [number] * 5
    assert [gate_id(name) for name in (f"G-{number}", f"g{number}", f"G-0{number}")] == [number] * 3


@pytest.mark.parametrize("bad", ["", "0", "-1", "1.5", "TASK-", "forty", "1 2", "9" * 10, "٣٤"])
def test_what_is_no_task(bad: str) -> None:
    if bad != "٣٤":  # digits of any script are digits
        with pytest.raises(Unclear):
            task_id(bad)
    assert gate_id(bad) is None


@pytest.mark.parametrize(("typed", "words"), [
    ("/cancel 4 2", "/cancel takes one task: /cancel 4, then /cancel 2"),
    ("/done TASK-4 TASK-2", "/done takes one task: /done TASK-4, then /done TASK-2"),
    ("/run 7 8", "/run takes one run: /run 7, then /run 8"),
    ("/gate G-1 G-2", "/gate takes one gate: /gate G-1, then /gate G-2"),
    ("/stop 7 8", "/stop takes one run"), ("/delete 4 2", "/delete takes one task"),
    ("/start 4 now please", "/start doesn't take `now please`. Say /start 42"),
    ("/assign 1 shell claude", "/assign doesn't take `claude`. Say /assign 42 [AGENT]"),
    ("/ready 1 2", "takes one task"), ("/task 1 2", "takes one task"),
    ("/release 1 2", "takes one task"), ("/kill 1 2", "takes one task"),
    ("/priority 1 high 2", "doesn't take `2`"), ("/move 1 before 2 3", "doesn't take `3`"),
    ("/delete 4 yes please", "doesn't take `yes please`"),
])
def test_no_word_is_passed_over_in_silence(typed: str, words: str) -> None:
    with pytest.raises(Unclear) as wrong:
        parse(typed, FORMS)
    assert words in str(wrong.value)


@pytest.mark.parametrize("typed", [
    "/delete 4 yes", "/stop 7 yes", "/assign 1 shell", "/show 1 plan.md", "/move 1 before 2",
    "/list ready blocked", "/after 4 2 3", "/go 1 2 3", "/cancel 4", "/pause run 7",
])
def test_what_a_verb_takes_it_takes(typed: str) -> None:
    assert len(parse(typed, FORMS).words) == len(typed.split()) - 1
