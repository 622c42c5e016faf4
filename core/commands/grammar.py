"""A typed line as a command: words, options, text. The same for every face."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import Unclear
from core.model import Role

_QUOTES = {'"': '"', "'": "'", "“": "”", "„": "“", "‘": "’"}
LONGEST = 64 * 1024
"""Characters of one command; more belongs into an attached file."""


@dataclass(frozen=True, slots=True)
class Option:
    """`--name VALUE` (or `-short VALUE`); without `value` a plain switch. `help` says what the
    value is, or what the switch does."""

    name: str
    value: bool = True
    short: str | None = None
    many: bool = False
    help: str = ""

    @property
    def said(self) -> str:
        """As it is typed: `--page`, `-n`."""
        return f"-{self.name}" if len(self.name) == 1 else f"--{self.name}"


@dataclass(frozen=True, slots=True)
class Form:
    """How a verb is said. `free`: all after the first word is one text, options too. `words`:
    at most so many that are no options; None: any number. `asks`: and a `yes` after them."""

    name: str
    usage: str
    role: Role
    help: str
    options: tuple[Option, ...] = ()
    free: bool = False
    group: str = "look"
    words: int | None = None
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """`words` are what is neither verb nor option; `text` is what follows the first line (for
    a free verb: everything after the first word)."""

    name: str
    words: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    many: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    text: str = ""


def parse(line: str, forms: Mapping[str, Form]) -> Command:
    """Raises Unclear, saying what to type instead, for whatever doesn't fit a verb's form."""
    if len(line) > LONGEST:
        raise Unclear(
            f"That is {len(line) // 1024} KB of text; {LONGEST // 1024} KB fit into one "
            "command. Attach the rest as a file."
        )
    first, _, rest = line.strip().partition("\n")
    name, _, said = first.strip().removeprefix("/").partition(" ")
    name = name.partition("@")[0].lower()
    form = forms.get(name)
    if form is None:
        raise Unclear(_unknown(name, forms))
    if form.free:
        return _free(form, said, rest)
    return _formal(form, said, rest, forms)


def _unknown(name: str, forms: Mapping[str, Form]) -> str:
    if not name:
        return "Say a command: /help lists them."
    near = difflib.get_close_matches(name, forms, n=1, cutoff=0.6)
    if near:
        usage = forms[near[0]].usage.partition(";")[0]
        return f"There is no /{name[:40]}. Did you mean {usage}?"
    return f"There is no /{name[:40]}. /help lists what there is."


def _free(form: Form, said: str, rest: str) -> Command:
    word, _, text = said.strip().partition(" ")
    words = (word,) if word else ()
    return Command(form.name, words, text=f"{text.strip()}\n{rest}".strip())


def _formal(form: Form, said: str, rest: str, forms: Mapping[str, Form]) -> Command:
    words: list[str] = []
    options: dict[str, str] = {}
    many: dict[str, list[str]] = {}
    waiting = list(_tokens(said))
    while waiting:
        token, quoted = waiting.pop(0)
        if quoted or not _is_option(token):
            words.append(token)
            continue
        option, value = _option(form, token, forms)
        if not option.value and value is not None:
            raise Unclear(f"{option.said} takes no value: say it or leave it.")
        if option.value and value is None and waiting:
            value = waiting.pop(0)[0]
        if option.value and not (value or "").strip():
            raise Unclear(f"{option.said} needs a value: {option.help or form.usage}")
        if option.many:
            many.setdefault(option.name, []).append(value or "")
        else:
            options[option.name] = value or "yes"
    _not_too_many(form, words)
    return Command(
        form.name,
        tuple(words),
        options,
        {key: tuple(values) for key, values in many.items()},
        rest.strip(),
    )


def _not_too_many(form: Form, words: list[str]) -> None:
    """No word is passed over in silence: what a verb doesn't take is refused."""
    most = 0 if form.usage == f"/{form.name}" else form.words
    if most is None or len(words) <= most or (form.asks and words[most:] == ["yes"]):
        return
    if most == 0:
        raise Unclear(f"{form.usage} stands alone: `{' '.join(words)[:40]}` means nothing to it.")
    if most == 1 and all(_ID.fullmatch(word) for word in words):
        one, two = (f"/{form.name} {word}" for word in words[:2])
        raise Unclear(f"/{form.name} takes one {_noun(form)}: {one}, then {two}")
    extra = " ".join(words[most:])[:40]
    raise Unclear(f"/{form.name} doesn't take `{extra}`. Say {form.usage}")


_ID = re.compile(r"(?i)(?:(?:task|run|g)-?)?#?\d+")


def _noun(form: Form) -> str:
    said = form.usage.split()[1]
    return {"42": "task", "G-17": "gate"}.get(said, "run" if said.endswith("7") else "at a time")


def _is_option(token: str) -> bool:
    """A dash and a letter; phones turn two dashes into one long one."""
    return bool(re.match(r"^(--?|—|–)[A-Za-z]", token))


def _option(form: Form, token: str, forms: Mapping[str, Form]) -> tuple[Option, str | None]:
    name, equals, value = re.sub(r"^(--?|—|–)", "", token).partition("=")
    for option in form.options:
        if name in (option.name, option.short):
            return option, value if equals else None
    if name in forms:
        raise Unclear(f"/{form.name} has no option {token[:40]}. Say {forms[name].usage}")
    known = [option.name for option in form.options]
    near = difflib.get_close_matches(name, known, n=1)
    hint = (
        f"Did you mean --{near[0]}?"
        if near
        else (
            "It knows " + ", ".join(option.said for option in form.options) + "."
            if known
            else "It takes no options."
        )
    )
    raise Unclear(f"/{form.name} has no option {token[:40]}. {hint}")


def _tokens(line: str) -> Sequence[tuple[str, bool]]:
    """Words, and whether each was quoted. An apostrophe inside a word is no quote."""
    found: list[tuple[str, bool]] = []
    rest = line.strip()
    while rest:
        taken = _quoted(rest) or _assigned(rest)
        if taken is None:
            word = rest.split(None, 1)[0]
            taken = (word, len(word), False)
        text, length, quoted = taken
        found.append((text, quoted))
        rest = rest[length:].lstrip()
    return found


def _quoted(text: str) -> tuple[str, int, bool] | None:
    close = _QUOTES.get(text[0])
    if close is None:
        return None
    for end in range(1, len(text)):
        ended = end + 1 == len(text) or text[end + 1].isspace()
        if text[end] == close and ended and text[end - 1] != "\\":
            return text[1:end].replace(f"\\{close}", close), end + 1, True
    if text[0] == "'":
        return None
    raise Unclear(f"The quote before `{text[1:30]}` is never closed.")


def _assigned(text: str) -> tuple[str, int, bool] | None:
    """`--run="a b"`: the quotes belong to the value."""
    match = re.match(r"^((?:--?|—|–)[A-Za-z][\w-]*=)([\"'“„‘].*)$", text, re.DOTALL)
    inner = _quoted(match[2]) if match else None
    if match is None or inner is None:
        return None
    return match[1] + inner[0], len(match[1]) + inner[1], False


def task_id(word: str) -> int:
    """`42`, `task-42`, `TASK-042`. Raises Unclear."""
    match = re.fullmatch(r"(?:task-?)?#?0*(\d{1,9})", word.strip(), re.IGNORECASE)
    if match is None or not int(match[1]):
        raise Unclear(f"`{word[:40]}` is no task: say a number, for instance 42 or TASK-042.")
    return int(match[1])


def gate_id(word: str) -> int | None:
    """`G-17`, `g17`; None when the word isn't a gate's id."""
    match = re.fullmatch(r"g-?0*(\d{1,9})", word.strip(), re.IGNORECASE)
    return int(match[1]) if match else None
