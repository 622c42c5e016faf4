"""What the terminal shows."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from bot.console import ConsoleFace, render
from core.commands.reply import Button, Reply, Table


def test_buttons_are_what_to_type() -> None:
    buttons = (Button("Approve", "approve G-1"), Button("Reject…", "reject G-1", ask="Why?"))
    shown = render(Reply("Ready for you", ("Look.",), code="+ a\n+ b", buttons=buttons))
    assert shown.splitlines() == [
        "Ready for you", "  Look.", "", "    + a", "    + b", "", "  /approve G-1   /reject G-1 …",
    ]  # fmt: skip


def test_a_table_stands_in_columns() -> None:
    table = Table(("id", "title"), (("TASK-001", "One"), ("TASK-002", "Two")))
    assert render(Reply("Tasks", table=table)).splitlines()[1:] == [
        "  id        title", "  TASK-001  One", "  TASK-002  Two",
    ]  # fmt: skip


async def test_a_live_message_says_one_line_when_its_title_changes() -> None:
    out = io.StringIO()
    face = ConsoleFace(out)
    message = await face.post("console", Reply("working", ("1 min",), key="task:1"))
    at = out.tell()
    await face.edit("console", message, Reply("working", ("2 min",), key="task:1"))
    assert out.tell() == at
    await face.edit("console", message, Reply("done", ("merged",), key="task:1", code="long"))
    assert out.getvalue()[at:] == "done  merged\n"


async def test_a_terminal_without_unicode_still_speaks() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    await ConsoleFace(out).post("console", Reply("✅ done"))
    assert raw.getvalue() == b"? done\n\n"


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_agents_never_steer_the_terminal(title: str, code: str) -> None:
    shown = render(Reply(title, (code,), ((code, title),), code=code))
    assert not any(ord(char) < 32 and char not in "\t\n" for char in shown)
    assert not any(0x7F <= ord(char) <= 0x9F for char in shown)
