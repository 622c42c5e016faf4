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
    looks,
    money,
    people,
    queueing,
    runs,
    tuning,
)
from core.commands.desk import Handler, Verb
from core.commands.grammar import Form, Option
from core.model import Role

V, O, A = Role.VIEWER, Role.OPERATOR, Role.APPROVER  # noqa: E741

_COUNT = Option("n", short="n", help="how many")
_ADD = (
    Option("priority", short="p", help="low, medium, high or urgent"),
    Option("agent", help="an agent's name"),
    Option("repo", help="a repository's name"),
    Option("run", help="a command that does it"),
    Option("after", help="tasks that must be done first: 12,13"),
    Option("workflow", help="a workflow's name"),
    Option("lane", help="what it belongs to, a word"),
    Option("tag", many=True, help="a word to find it by"),
    Option("skill", many=True, help="what its agent must be able to do"),
    Option("lang", many=True, help="a language its agent must know"),
    Option("touches", many=True, help="files it will change: src/*.py"),
    Option("complexity", help="xs, s, m, l or xl"),
    Option("ephemeral", value=False, help="it need not be remembered"),
    Option("draft", value=False, help="into the inbox first"),
)
_LIST = (
    Option("lane", help="what it belongs to, a word"),
    Option("agent", help="an agent's name"),
    Option("tag", help="a word it was given"),
    Option("priority", short="p", help="low, medium, high or urgent"),
    Option("unassigned", value=False, help="those without an agent"),
    Option("text", help="words in title or description"),
    _COUNT,
    Option("page", help="which ten"),
)

_TABLE: list[tuple[Form, object]] = [
    (
        Form(
            "add",
            '/add TITLE [--run "COMMAND"] [--agent NAME] [-p high]; next lines: description',
            O,
            "a new task",
            _ADD,
            group="work",
        ),
        adding.add,
    ),
    (Form("list", "/list [STATE]", V, "tasks", _LIST), looks.list_),
    (Form("task", "/task 42", V, "one task"), looks.task),
    (Form("status", "/status", V, "how it stands"), looks.status),
    (Form("inbox", "/inbox", V, "what waits for a person"), looks.inbox),
    (Form("gate", "/gate G-17", V, "one decision again"), looks.gate),
    (Form("show", "/show 42 [ARTIFACT]", V, "the change, or an artifact"), looks.show),
    (Form("diff", "/diff 42", V, "the change"), looks.diff),
    (Form("logs", "/logs 42 [-n 50]", V, "what the agent said last", (_COUNT,)), looks.logs),
    (Form("agents", "/agents", V, "the crew"), looks.agents),
    (Form("sessions", "/sessions", V, "what runs or waits now"), looks.sessions),
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
            "answer an agent's question",
            free=True,
            group="decide",
        ),
        decide.answer,
    ),
    (Form("start", "/start 42", O, "do it first", group="work"), change.start),
    (Form("ready", "/ready 42", O, "out of the inbox", group="work"), change.ready),
    (
        Form("retry", "/retry 42 [HINT]", O, "try a failed task again", free=True, group="work"),
        change.retry,
    ),
    (Form("say", "/say 42 TEXT", O, "tell a running agent", free=True, group="work"), decide.say),
    (Form("cancel", "/cancel 42", O, "drop it", group="work"), change.cancel),
    (Form("done", "/done 42", O, "call it done", group="work"), change.done),
    (Form("reopen", "/reopen 42", O, "begin it again", group="work"), change.reopen),
    (
        Form("kill", "/kill 42 (or a session, or an agent)", O, "stop it now", group="work"),
        change.kill,
    ),
    (Form("killall", "/killall (asks once)", O, "stop everything", group="work"), brake.killall),
    (Form("pause", "/pause", O, "claim nothing new", group="work"), brake.pause),
    (Form("resume", "/resume", O, "go on claiming", group="work"), brake.resume),
    (Form("whoami", "/whoami", V, "your id and role", group="here"), people.whoami),
    *fitting.TABLE,
    *queueing.TABLE,
    *runs.TABLE,
    *money.TABLE,
    *crew.TABLE,
    *tuning.TABLE,
]

FORMS: dict[str, Form] = {form.name: form for form, _ in _TABLE}
FORMS["help"] = Form("help", "/help [COMMAND]", V, "what you can say", group="here")
VERBS: dict[str, Verb] = {form.name: Verb(form, cast(Handler, handler)) for form, handler in _TABLE}
VERBS["help"] = Verb(FORMS["help"], cast(Handler, people.make_help(FORMS)))
GREET = Verb(Form("start", "/start [CODE]", Role.NOBODY, "hello"), cast(Handler, people.greet))
"""Bare `/start`, or with a pairing code: open to all. `/start 42` is the operator's verb."""
