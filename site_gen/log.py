"""A log's lines as markup: made by hand, since a log has many thousands of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup, escape

from core.redaction import Redactor
from core.views import SHOWN, LogLine, Said, fitting
from site_gen.words import clock

_LOUD = {"tool_call", "error", "permission_request", "question", "file_change", "outcome"}
_UNSAFE = re.compile(r"[^a-z_]")


def log_markup(
    redactor: Redactor, strip: Callable[[str], str]
) -> Callable[[Sequence[LogLine]], Markup]:
    """Makes lines into paragraphs. They are redacted as one text, so that a secret which
    lies across lines is caught too."""

    def hidden(texts: list[str]) -> list[str]:
        spans = redactor.spans("\n".join(texts))
        return list(_clipped(texts, spans)) if spans else texts

    def made(lines: Sequence[LogLine]) -> Markup:
        texts = hidden([strip(line.text) for line in lines])
        given = hidden([strip(line.given) for line in lines])
        said = Said()
        shown = [one for one in zip(lines, texts, given, strict=True) if said.anew(*one[:2])]
        return Markup("\n".join(_paragraph(*one) for one in shown))  # noqa: S704 - each is escaped

    return made


def _paragraph(line: LogLine, text: str, given: str) -> str:
    kind, words = _UNSAFE.sub("", line.kind), escape(fitting(text))
    return (
        f'<p class="l {line.stream} k-{kind}" id="l{line.seq}">'
        f"<span>{clock(line.at)}</span> {_label(line.stream, kind)}{words}</p>{_fold(given)}"
    )


def _fold(given: str) -> str:
    """What a tool was called with, for who asks for it."""
    if not given:
        return ""
    words = given if len(given) <= SHOWN else f"{given[:SHOWN]}…"
    return (
        f'<details class="given"><summary>arguments</summary><pre>{escape(words)}</pre></details>'
    )


def _label(stream: str, kind: str) -> str:
    if stream == "err":
        return "<b>err</b> "
    if stream == "mark":
        return "<b>bullpen</b> "
    return f"<b>{kind.replace('_', ' ')}</b> " if kind in _LOUD else ""


def _clipped(texts: Iterable[str], spans: Sequence[tuple[int, int]]) -> Iterable[str]:
    """Each text with its part of every span replaced; spans count over the joined text."""
    at, first = 0, 0
    for text in texts:
        end = at + len(text)
        while first < len(spans) and spans[first][1] <= at:
            first += 1
        mine = []
        for start, stop in spans[first:]:
            if start >= end:
                break
            mine.append((max(start, at) - at, min(stop, end) - at))
        yield Redactor.render(text, mine) if mine else text
        at = end + 1
