"""What agents said: the end of a log, and following it as it grows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from core import cards, views
from core.commands import words
from core.commands.desk import Act, Desk
from core.commands.grammar import Command, Form, Option, task_id
from core.commands.options import COUNT
from core.commands.reply import Attachment, Button, Reply
from core.commands.showing import LONG
from core.errors import Unclear
from core.longlines import fitting
from core.model import ACTIVE, Role, Task
from core.store import deliveries, following, tasks
from core.store.database import Tx
from core.views import LogLine

_USAGE = "/logs 42 or SESSION [-n 50] [--follow]"
_CONTEXT = 200
"""Lines before those that are shown: a secret may begin in them."""
_MOST = 1 << 20
"""Characters of the log that one answer is made of."""


@dataclass(frozen=True, slots=True)
class _Log:
    """The task, and the session whose log it is (the newest); none yet: nobody has begun it."""

    task: Task
    session: str | None


async def logs(desk: Desk, command: Command) -> Reply | Act:
    """The end of what an agent said; `--follow`: what comes, too, until `--stop`."""
    log = await _log(desk, command)
    count = words.number(command.options.get("n", "50"), "-n")
    if "stop" in command.options:
        return _stop(desk, log)
    shown, last = await _shown(desk, log, count)
    if "follow" in command.options:
        return _follow(desk, log, shown, last)
    if log.task.state in ACTIVE:
        return replace(shown, buttons=(Button("Follow", f"logs {log.task.id} --follow"),))
    return shown


async def _log(desk: Desk, command: Command) -> _Log:
    """A task's newest session, or the one that is named."""
    if not command.words:
        raise Unclear("Whose? For instance /logs 42")
    said = command.words[0]
    rows = await desk.house.store.read("SELECT task_id FROM sessions WHERE id = ?", (said,))
    number = rows[0]["task_id"] if rows else _number(said)
    task = await desk.house.store.write(lambda tx: tasks.get(tx, number))
    if rows:
        return _Log(task, said)
    found = await desk.house.store.read(
        "SELECT id FROM sessions WHERE task_id = ? ORDER BY created_at DESC, id LIMIT 1", (number,)
    )
    return _Log(task, found[0]["id"] if found else None)


def _number(said: str) -> int:
    try:
        return task_id(said)
    except Unclear:
        raise Unclear(
            f"`{said[:40]}` is no task and no session: say /logs 42; /sessions lists sessions."
        ) from None


async def _shown(desk: Desk, log: _Log, count: int) -> tuple[Reply, int]:
    """The end of the log, and the number of its last line."""
    if log.session is None:
        return Reply(f"{log.task.ref} has no log yet: nobody has begun it."), 0
    session = log.session
    lines, marks = await desk.house.store.view(
        lambda db: (
            views.log_tail(db, session, min(count + _CONTEXT, 2000)),
            views.log_marks_of(db, session),
        )
    )
    said = tuple(f"── Bullpen: {words} ──" for words in marks)
    text = await asyncio.to_thread(_text, desk, lines, count)
    title = f"{log.task.ref} · log of {session}"
    last = lines[-1].seq if lines else 0
    if len(text) <= LONG:
        return Reply(title, said, code=text or "(it said nothing)"), last
    whole = Attachment(f"{session}.log", text)
    return Reply(title, said, code=text[-LONG:], attachments=(whole,)), last


def _text(desk: Desk, lines: tuple[LogLine, ...], count: int) -> str:
    """The last of them, redacted as one text while they are whole; a secret that covers several
    lines leaves fewer of them."""
    said = views.Said()
    lines = tuple(line for line in _newest(lines) if said.anew(line, line.text))
    said_of = [line_words(line, desk.house.redact) for line in lines]
    whole = desk.house.redact("\n".join(said_of)).split("\n")
    asked = sum(words.count("\n") + 1 for words in said_of[-count:])
    return fitting("\n".join(whole[-asked:]))


def _newest(lines: tuple[LogLine, ...]) -> tuple[LogLine, ...]:
    """As many of the last as are no more than can be shown."""
    room = _MOST
    for number, line in enumerate(reversed(lines)):
        room -= len(line.text) + len(line.given)
        if room < 0:
            return lines[len(lines) - max(number, 1) :]
    return lines


def line_words(line: LogLine, redact: Callable[[str], str]) -> str:
    """Bullpen's own words in a log stand out from the agent's. Only what a tool was called with
    is redacted yet: it is shortened."""
    if line.kind == "file_change":
        return f"📝 {line.text}"
    if line.given:
        return f"{line.text} {views.in_short(line.given, redact)}"
    return f"── Bullpen: {line.text} ──" if line.stream == "mark" else line.text


# -- following -----------------------------------------------------------------------------


def _follow(desk: Desk, log: _Log, shown: Reply, last: int) -> Act | Reply:
    """On the terminal the lines come as they are said; in a chat the live message shows them."""
    task, place = log.task, desk.place
    if task.ended_at is not None:
        return shown
    if place.platform == "console":
        return replace(
            shown,
            lines=(
                *shown.lines,
                f"What comes follows here until it has ended, or /logs {task.id} --stop.",
            ),
            extra={"follow": str(task.id), "after": str(last), "who": task.ref},
        )

    def act(tx: Tx) -> Reply:
        following.begin(tx, task.id, place.platform, place.chat)
        _show_card(tx, desk, task.id)
        return Reply(f"{task.ref}: its message here shows what the agent says, as it comes.")

    return act


def _stop(desk: Desk, log: _Log) -> Act | Reply:
    task, place = log.task, desk.place
    if place.platform == "console":
        extra = {"unfollow": str(task.id)}
        return Reply(f"{task.ref} is not followed here any more.", extra=extra)

    def act(tx: Tx) -> Reply:
        if not following.end(tx, task.id, place.platform, place.chat):
            return Reply(f"{task.ref} is not followed here.")
        _show_card(tx, desk, task.id)
        return Reply(f"{task.ref} is not followed here any more.")

    return act


def _show_card(tx: Tx, desk: Desk, task_id: int) -> None:
    task = tasks.get(tx, task_id)
    place = (desk.place.platform, desk.place.chat)
    followed = place in following.places(tx, task_id)
    deliveries.owe(
        tx,
        platform=place[0],
        chat=place[1],
        reply=cards.task_card(tx, task, followed),
        urgency=deliveries.PROGRESS,
        silent=True,
        task_id=task_id,
    )


TABLE: list[tuple[Form, object]] = [
    (
        Form(
            "logs",
            _USAGE,
            Role.VIEWER,
            "what the agent said last",
            (
                COUNT,
                Option("follow", value=False, help="and what comes, as it comes"),
                Option("stop", value=False, help="follow it no more"),
            ),
            words=1,
        ),
        logs,
    )
]
