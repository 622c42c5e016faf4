"""Commands about sessions: which there are, one with all there is to know, its end."""

from __future__ import annotations

import re

from core import acts, cards, views
from core.commands import words
from core.commands.desk import Act, Desk
from core.commands.grammar import Command, Form, Option, task_id
from core.commands.lists import more, shown, span
from core.commands.options import PAGE
from core.commands.reply import Button, Reply, Table
from core.errors import Refused, Unclear
from core.model import Role, Session, SessionState, Task, TaskState, task_ref
from core.store import tasks, unmet
from core.store.database import Tx
from core.store.sessions import open_of_task
from core.views import SessionPage, SessionRow

_OVER = (TaskState.DONE, TaskState.CANCELLED)
_TASK = re.compile(r"(?:task-)?\d{1,9}", re.IGNORECASE)


async def sessions(desk: Desk, command: Command) -> Reply:
    """Those that are not over; with --all the ended ones too, with --agent one agent's."""
    size, offset = span(command)
    agent, over = command.options.get("agent"), "all" in command.options
    if agent is not None:
        desk.house.agent(agent)
    found = await desk.house.store.view(
        lambda db: views.session_list(db, agent=agent, over=over, n=size, offset=offset)
    )
    if not found.total:
        whose = f" of {agent}" if agent else ""
        return Reply(f"There is no session{whose} yet." if over else f"Nothing{whose} runs now.")
    now, zone = desk.house.store.now(), desk.house.policy.timezone
    rows = tuple(_row(one, now, zone) for one in found.items)
    return Reply(
        shown("Sessions", found),
        table=Table(("session", "task", "state", "since", "cost"), rows),
        buttons=more(command, found, size),
    )


def _row(one: SessionRow, now: int, zone: str) -> tuple[str, ...]:
    session = one.session
    cost = f"{session.cost_usd:.2f} USD" if session.cost_usd else ""
    began = words.clock(session.created_at, now, zone)
    return session.id, task_ref(session.task_id), _state(session, one.waits), began, cost


def _state(session: Session, waits: bool = False) -> str:
    if session.unreachable_since is not None and session.state is not SessionState.TERMINATED:
        return f"{session.state.value}, can't be reached"
    if session.outcome is not None:
        over = session.state is SessionState.TERMINATED
        return session.outcome.value if over else f"being ended: {session.outcome.value}"
    return f"{session.state.value}, waits for a person" if waits else session.state.value


async def session(desk: Desk, command: Command) -> Reply:
    """One session: where and how it works, its tries and turns, what it has used, its end. Of a
    task that is named the newest."""
    if not command.words:
        raise Unclear("Which? /session coder-1-7f3a91c2, or 42; /sessions lists them.")
    name = await _name(desk, command.words[0])
    page = await desk.house.store.view(lambda db: views.session_page(db, name))
    if page is None:
        raise Unclear(f"No session `{name[:60]}`. /sessions --all lists them.")
    found = page.row.session
    buttons = [Button("Its task", f"task {found.task_id}"), Button("Log", f"logs {found.task_id}")]
    if found.state in (SessionState.RUNNING, SessionState.STARTING):
        buttons.append(Button("Kill", f"kill {found.id}", "danger"))
    return Reply(
        f"{found.id} · {_state(found, page.row.waits)}",
        tuple(_told(desk, page)),
        fields=tuple((key, value) for key, value in _fields(desk, page) if value),
        table=Table(("turn", "attempt", "why", "state", "checks", "reason"), _turns(page)),
        buttons=tuple(buttons),
    )


async def _name(desk: Desk, said: str) -> str:
    if not _TASK.fullmatch(said):
        return said
    wanted = await desk.house.store.write(lambda tx: tasks.get(tx, task_id(said)))
    found = await desk.house.store.read(
        "SELECT id FROM sessions WHERE task_id = ? ORDER BY created_at DESC, id LIMIT 1",
        (wanted.id,),
    )
    if not found:
        raise Unclear(f"{wanted.ref} has no session yet: nobody has begun it.")
    return str(found[0]["id"])


def _told(desk: Desk, page: SessionPage) -> list[str]:
    found = page.row.session
    lines = [f"{task_ref(found.task_id)} {page.row.task_title}"]
    if found.reason:
        lines.append(desk.house.redact(found.reason))
    if found.unreachable_since is not None and found.state is not SessionState.TERMINATED:
        away = cards.duration(desk.house.store.now() - found.unreachable_since)
        lines.append(f"It can't be reached since {away}; it is asked again.")
    return lines


def _fields(desk: Desk, page: SessionPage) -> list[tuple[str, str]]:
    found = page.row.session
    now, zone = desk.house.store.now(), desk.house.policy.timezone
    ended = words.clock(found.ended_at, now, zone) if found.ended_at else ""
    return [
        ("agent", f"{found.agent}, {found.driver}" + (f", {found.model}" if found.model else "")),
        ("sandbox", found.sandbox + (", at a terminal" if found.interactive else "")),
        ("step", found.step),
        ("begun", words.clock(found.created_at, now, zone)),
        ("ended", ended),
        ("used", words.money(found.tokens_in + found.tokens_out, found.cost_usd)),
        ("tool calls", str(found.tool_calls or "")),
        ("branch", found.branch or ""),
        ("worktree", f"{found.worktree} ({found.worktree_state.value})"),
        ("conversation", found.driver_session or ""),
        ("attempts", "; ".join(page.attempts)),
    ]


def _turns(page: SessionPage) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (str(one.number), str(one.attempt), one.cause, one.state.value, one.qa.value,
         (one.reason or "")[:60])
        for one in page.iterations[-10:]
    )  # fmt: skip


# -- its end -------------------------------------------------------------------------------


async def kill(desk: Desk, command: Command) -> Reply | Act:
    """Stop a task's session; also by the session's or the agent's name. With --sure at once; one
    that can't be reached then counts as gone, on your word."""
    if not command.words:
        raise Unclear("Kill what? /kill 42, or a session or an agent by its name.")
    word, sure = command.words[0], "sure" in command.options

    def act(tx: Tx) -> Reply:
        killed: list[Task] = []
        forced: list[Task] = []
        gone: list[str] = []
        away: list[str] = []
        for task in _meant(tx, word):
            if task.state in _OVER and not open_of_task(tx, task.id):
                raise Refused(f"{task.ref} is {task.state.value}: nothing of it runs.")
            (killed if acts.kill(tx, desk.house, task, desk.actor) else forced).append(task)
            gone += acts.without_mercy(tx, task, desk.actor) if sure else []
            away += [s.id for s in open_of_task(tx, task.id) if s.unreachable_since is not None]
        return Reply(
            " ".join(_said(killed, forced, gone, away)),
            buttons=tuple(Button(f"Retry {task.id}", f"retry {task.id}") for task in killed[:3]),
        )

    return act


def _said(killed: list[Task], forced: list[Task], gone: list[str], away: list[str]) -> list[str]:
    said = [", ".join(task.ref for task in killed) + " killed."] if killed else []
    if forced:
        what = unmet.listed([task.ref for task in forced])
        said.append(f"What was being stopped of {what} is ended by force now.")
    if gone:
        said.append(f"{unmet.listed(gone)} counts as gone, on your word.")
    said += [
        f"{one} gives no answer, or can't be ended, and may run on: it is asked again. "
        f"Where you know that it is gone: /kill {one} --sure"
        for one in away
    ]
    return said


def _meant(tx: Tx, word: str) -> list[Task]:
    """The task behind a number or a session's id; for an agent's name those that it works on
    now, or that are being stopped: what waits at a gate is nobody's work."""
    if re.fullmatch(r"(?i)(task-?)?#?\d+", word):
        return [tasks.get(tx, task_id(word))]
    found = tx.all(
        "SELECT DISTINCT task_id FROM sessions WHERE (id = ? AND state <> 'terminated') "
        "OR (agent = ? AND state IN ('starting', 'running', 'terminating'))",
        (word, word),
    )
    if not found:
        raise Refused(f"Nothing of {word[:40]} runs. /sessions shows what does.")
    return [tasks.get(tx, row[0]) for row in found]


V, O = Role.VIEWER, Role.OPERATOR  # noqa: E741
_LIST = (
    Option("agent", help="an agent's name"),
    Option("all", value=False, help="those that have ended, too"),
    *PAGE,
)
_SURE = (Option("sure", value=False, help="at once; what can't be reached counts as gone"),)
_KILL = "/kill 42 [--sure] (or a session, or an agent)"
TABLE: list[tuple[Form, object]] = [
    (
        Form("sessions", "/sessions [--agent NAME] [--all]", V, "who works", _LIST, words=0),
        sessions,
    ),
    (Form("session", "/session 42 or ID", V, "one session", words=1), session),
    (Form("kill", _KILL, O, "stop it now", _SURE, group="work", words=1), kill),
]
