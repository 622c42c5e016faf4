"""Claude Code's questions: one or several at once, each with its choices, for a person to read;
and the words of the answer, taken apart again."""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.drivers.claude_asked import visible
from core.drivers.loose import Table, objects, string
from core.errors import Unclear

_NUMBERED = re.compile(r"(\d+)[.):]\s*(?=\S)")


def question_words(given: Table) -> str:
    """The question with its choices below it; several are numbered, with how to answer them."""
    asked = objects(given.get("questions"))
    if len(asked) < 2:
        return "\n".join(line for one in asked for line in _lines(one, "", ""))
    lines = [
        line for number, one in enumerate(asked, 1) for line in _lines(one, f"{number}. ", "   ")
    ]
    return "\n".join([*lines, f"({_how(len(asked))})"])


def answers(given: Table, text: str) -> dict[str, str]:
    """Each question with its answer. One takes all the words; several take a line each, or what
    stands between signs `|` in one. Raises Unclear where that are not as many as questions."""
    asked = [string(one.get("question")) for one in objects(given.get("questions"))]
    if len(asked) < 2:
        return {question: text.strip() for question in asked}
    said = _parts(text.strip(), len(asked))
    if len(said) != len(asked):
        raise Unclear(f"{_how(len(asked))[:-1]}; that were {len(said)}.")
    return dict(zip(asked, _unnumbered(said), strict=True))


def _how(count: int) -> str:
    return f"Answer all {count} in their order, a line each, or in one line with | between them."


def _lines(asked: Table, mark: str, indent: str) -> list[str]:
    several = " (one or more of them)" if asked.get("multiSelect") is True else ""
    first = f"{mark}{visible(string(asked.get('question')))}{several}"
    return [first, *(f"{indent}· {_choice(option)}" for option in objects(asked.get("options")))]


def _choice(option: Table) -> str:
    label, about = visible(string(option.get("label"))), visible(string(option.get("description")))
    return f"{label}: {about}" if about.strip() else label


def _parts(text: str, count: int) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1:
        parts = [part.strip() for part in lines[0].split("|")]
        return parts if len(parts) == count and all(parts) else lines
    return lines


def _unnumbered(said: Sequence[str]) -> list[str]:
    """Without the numbers of the questions, where the person has put them before all answers."""
    found = [_NUMBERED.match(one) for one in said]
    numbers = [one[1] if one else "" for one in found]
    if numbers != [str(number) for number in range(1, len(said) + 1)]:
        return list(said)
    return [one[found_.end() :] for one, found_ in zip(said, found, strict=True) if found_]
