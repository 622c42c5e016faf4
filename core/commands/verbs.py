"""Every verb, declared once: its form and what it does. Menu, help and parser read this."""

from __future__ import annotations

from typing import cast

from core.commands import (
    adding,
    brake,
    change,
    crew,
    decide,
    fitting,
    lists,
    logs,
    looks,
    money,
    options,
    people,
    queueing,
    runs,
    sessions,
    showing,
    spawning,
    tuning,
    worktrees,
)
from core.commands.desk import Handler, Verb
from core.commands.grammar import Form
from core.model import Role

V, O, A = Role.VIEWER, Role.OPERATOR, Role.APPROVER  # noqa: E741

_TABLE: list[tuple[Form, object]] = [
    (
        Form(
            "add",
            '/add TITLE [--run "COMMAND"] [--agent NAME] [-p high]; next lines: description',
            O,
            "a new task",
            options.ADD,
            group="work",
        ),
        adding.add,
    ),
    (Form("list", "/list [STATE] [--lane web]", V, "tasks", options.LIST), lists.list_),
    (Form("task", "/task 42", V, "one task", words=1), showing.task),
    (Form("status", "/status", V, "how it stands"), looks.status),
    (Form("inbox", "/inbox", V, "what waits for a person"), looks.inbox),
    (Form("gate", "/gate G-17", V, "one decision again", words=1), looks.gate),
    (
        Form(
            "show",
            "/show 42 [ARTIFACT, NAME@2 or artifacts]",
            V,
            "the change, or an artifact",
            words=2,
        ),
        showing.show,
    ),
    (Form("diff", "/diff 42", V, "the change", words=1), showing.diff),
    *logs.TABLE,
    *sessions.TABLE,
    (Form("events", "/events", V, "what happened last"), looks.events),
    (
        Form(
            "approve", "/approve 42 or G-17 [COMMENT]", A, "yes, go on", free=True, group="decide"
        ),
        decide.approve,
    ),
    (
        Form("reject", "/reject 42 or G-17 REASON", A, "send it back", free=True, group="decide"),
        decide.reject,
    ),
    (
        Form(
            "answer",
            "/answer G-17 TEXT",
            A,
            "answer an agent's question; of several each by a line, or one line with |",
            free=True,
            group="decide",
        ),
        decide.answer,
    ),
    (Form("start", "/start 42", O, "do it first", group="work", words=1), change.start),
    (Form("ready", "/ready 42", O, "out of the inbox", group="work", words=1), change.ready),
    (
        Form("retry", "/retry 42 [HINT]", O, "try a failed task again", free=True, group="work"),
        change.retry,
    ),
    (Form("say", "/say 42 TEXT", O, "tell a running agent", free=True, group="work"), decide.say),
    (Form("cancel", "/cancel 42", O, "drop it", group="work", words=1), change.cancel),
    (Form("done", "/done 42", O, "call it done", group="work", words=1), change.done),
    (
        Form("reopen", "/reopen 42 [STEP]", O, "begin it again", group="work", words=2),
        change.reopen,
    ),
    (Form("killall", "/killall (asks once)", O, "stop everything", group="work"), brake.killall),
    (
        Form("pause", "/pause [42 or RUN-7]", O, "claim nothing new; let one rest", group="work"),
        brake.pause,
    ),
    (Form("resume", "/resume [42 or RUN-7]", O, "go on", group="work"), brake.resume),
    (Form("whoami", "/whoami", V, "your id and role", group="here"), people.whoami),
    *fitting.TABLE,
    *queueing.TABLE,
    *runs.TABLE,
    *money.TABLE,
    *crew.TABLE,
    *tuning.TABLE,
    *worktrees.TABLE,
    *spawning.TABLE,
]

FORMS: dict[str, Form] = {form.name: form for form, _ in _TABLE}
FORMS["help"] = Form("help", "/help [COMMAND]", V, "what you can say", group="here", words=1)
VERBS: dict[str, Verb] = {form.name: Verb(form, cast(Handler, handler)) for form, handler in _TABLE}
VERBS["help"] = Verb(FORMS["help"], cast(Handler, people.make_help(FORMS)))
GREET = Verb(Form("start", "/start [CODE]", Role.NOBODY, "hello"), cast(Handler, people.greet))
"""Bare `/start`, or with a pairing code: open to all. `/start 42` is the operator's verb."""
