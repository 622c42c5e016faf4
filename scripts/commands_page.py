"""Makes docs/commands.md from the table in core/commands/verbs.py; with `-` it is printed."""

from __future__ import annotations

import sys
from pathlib import Path

from core.commands.grammar import Form, Option
from core.commands.verbs import FORMS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "commands.md"
GROUPS = {"look": "Look", "work": "Work", "decide": "Decide", "here": "Here"}
HEAD = """\
# What you can say

Made from `core/commands/verbs.py` by `scripts/commands_page.py`; a test holds the two together.

The same commands work in the terminal and in Telegram. A button is a command, too. A task is
named `42`, `task-42` or `TASK-042`; a decision `G-17`. Words with spaces stand in quotes. The
lines after the first belong to it: for `/add` they are the description, and lines such as
``- [ ] `make test` `` in it are acceptance criteria.

Roles build on each other: viewer, operator, approver, admin. A reply to a review card sends it
back with that reason, a reply to a question answers it, and any other reply in a task's thread
is said to its agent. No plain message ever approves. A mistake gets one line that says what to
type instead.
"""


def page() -> str:
    unknown = {form.group for form in FORMS.values()} - set(GROUPS)
    if unknown:
        raise SystemExit(f"Name these groups in {Path(__file__).name}: {unknown}")
    return "\n".join(
        [
            HEAD,
            *(_group(name, title) for name, title in GROUPS.items()),
            *(_options(form) for form in FORMS.values() if form.options),
        ]
    )


def _group(name: str, title: str) -> str:
    rows = [
        (f"`{form.usage}`", form.help, form.role.name.lower())
        for form in FORMS.values()
        if form.group == name
    ]
    return f"## {title}\n\n" + _table(("say", "for", "who"), rows)


def _options(form: Form) -> str:
    rows = [(_spelled(option), _takes(option)) for option in form.options]
    return f"## Options of /{form.name}\n\n" + _table(("option", "takes"), rows)


def _spelled(option: Option) -> str:
    dashes = "-" if len(option.name) == 1 else "--"
    long = f"`{dashes}{option.name}`"
    return long + (f", `-{option.short}`" if option.short not in (None, option.name) else "")


def _takes(option: Option) -> str:
    if not option.value:
        return f"nothing; {option.help}"
    return f"{option.help}; may be said several times" if option.many else option.help


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")
