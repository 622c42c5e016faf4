"""Text on its way to a screen: what is removed from it, and where it is cut."""

from __future__ import annotations

import re

from core.commands.reply import Reply, Table

# Escape sequences whole (CSI, OSC, two-character ones), then every other control character.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?"
    r"|\x1b[ -/]*[0-~]?"
)
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_LONE = re.compile("[\ud800-\udfff]")
_SENTENCE_END = re.compile(r"[.!?…](?=\s)|\n")

SHORTENED = " …"


def clean(text: str) -> str:
    """Without escape sequences, control characters, direction overrides and half characters."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return _LONE.sub("\ufffd", _CONTROLS.sub("", text))


def one_line(text: str) -> str:
    """Clean, and on one line."""
    return " ".join(clean(text).split())


def units(text: str) -> int:
    """Length in UTF-16 code units, as chat platforms count it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut(text: str, limit: int) -> str:
    """At most `limit` UTF-16 units: whole, or cut at the end of a sentence or line, else of a
    word, with a mark that something is missing."""
    if units(text) <= limit:
        return text
    room = limit - units(SHORTENED)
    if room <= 0:
        return ""
    raw = text.encode("utf-16-le", "surrogatepass")[: room * 2]
    head = raw.decode("utf-16-le", "ignore")
    return head[: _good_end(head)].rstrip() + SHORTENED


def _good_end(head: str) -> int:
    """Where to end: in the second half of `head`, at a sentence, else at a word, else its end."""
    half = len(head) // 2
    ends = [match.end() for match in _SENTENCE_END.finditer(head, half)]
    if ends:
        return ends[-1]
    space = head.rfind(" ", half)
    return space if space > 0 else len(head)


def as_text(reply: Reply) -> str:
    """The whole reply as plain text, its code as it is."""
    parts = [reply.title, *reply.lines, *(f"{name}: {value}" for name, value in reply.fields)]
    if reply.table is not None:
        parts += table_lines(reply.table)
    parts += reply.notes
    if reply.code is not None:
        parts += ["", reply.code]
    return clean("\n".join(parts))


def table_lines(table: Table) -> list[str]:
    """A table for a narrow screen: one line a row."""
    return [" · ".join(cell for cell in row if cell) for row in (table.columns, *table.rows)]
