"""Commands about who is here and what can be said: pairing, whoami, help."""

from __future__ import annotations

from core.commands.desk import Act, Desk
from core.commands.grammar import Command, Form
from core.commands.reply import Button, Reply
from core.errors import Unclear
from core.store import people
from core.store.database import Tx

FIRST = {"add", "status", "inbox", "list", "task", "show", "approve", "reject", "answer", "kill"}
"""What is needed most: ten lines, so that they fit a phone."""
GREETING = (
    "I run a crew of coding agents and ask you when something needs a decision.",
    'Try: /add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"',
)


async def greet(desk: Desk, command: Command) -> Reply | Act:
    """Bare /start, which Telegram sends by itself; with a code it lets somebody in."""
    if not command.words:
        return Reply(
            "Bullpen is here.",
            GREETING,
            buttons=(Button("Status", "status"), Button("Help", "help")),
        )

    def act(tx: Tx) -> Reply:
        paired = people.pair(tx, desk.actor, command.words[0], desk.house.people)
        if paired.role is None:
            return Reply(paired.problem, error=True)
        return Reply(
            f"Welcome, {desk.actor.name or desk.actor.user_id}. "
            f"Your role: {paired.role.name.lower()}.",
            GREETING,
        )

    return act


async def whoami(desk: Desk, command: Command) -> Reply:
    return Reply(
        f"You are {desk.actor.name or desk.actor.user_id} "
        f"({desk.actor.key}), role {desk.role.name.lower()}."
    )


def make_help(forms: dict[str, Form]) -> object:
    """The help handler over the table of verbs."""

    async def help_(desk: Desk, command: Command) -> Reply:
        name = command.words[0].removeprefix("/").lower() if command.words else ""
        allowed = [form for form in forms.values() if desk.role >= form.role]
        if name == "all":
            return _all(allowed)
        if name:
            return _one(forms, name)
        first = "\n".join(_line(form) for form in allowed if form.name in FIRST)
        return Reply(
            "What you can say",
            (first, "/help COMMAND tells more, /help all the rest."),
            buttons=(Button("All commands", "help all"),),
        )

    return help_


def _all(allowed: list[Form]) -> Reply:
    groups: dict[str, list[str]] = {}
    for form in allowed:
        groups.setdefault(form.group, []).append(_line(form))
    lines = (f"{group.capitalize()}\n" + "\n".join(said) for group, said in groups.items())
    return Reply("All that you can say", tuple(lines))


def _line(form: Form) -> str:
    return f"/{form.name} — {form.help}"


def _one(forms: dict[str, Form], name: str) -> Reply:
    form = forms.get(name)
    if form is None:
        raise Unclear(f"There is no /{name[:40]}. /help lists what there is.")
    options = tuple(
        (
            option.said + (f", -{option.short}" if option.short not in (None, option.name) else ""),
            option.help,
        )
        for option in form.options
    )
    return Reply(form.usage, (form.help, f"Role: {form.role.name.lower()}."), options)
