"""The options of the verbs that take many of them."""

from __future__ import annotations

from core.commands.grammar import Option

COUNT = Option("n", short="n", help="how many")
_PRIORITY = Option("priority", short="p", help="low, medium, high or urgent")
_LANE = Option("lane", help="what it belongs to, a word")
_REPO = Option("repo", help="a repository's name")
_FIELDS = (
    _PRIORITY,
    Option("agent", help="an agent's name"),
    _REPO,
    Option("run", help="a command that does it"),
    Option("workflow", help="a workflow's name"),
    _LANE,
    Option("tag", many=True, help="a word to find it by"),
    Option("skill", many=True, help="what its agent must be able to do"),
    Option("prefer", many=True, help="what its agent had better be able to do"),
    Option("lang", many=True, help="a language its agent must know"),
    Option("touches", many=True, help="files it will change: src/*.py"),
    Option("complexity", help="xs, s, m, l or xl"),
    Option("category", help="what kind of work it is, a word"),
    Option("budget", many=True, help="what it may cost: 2usd, 200k, or both"),
    Option("plan", help="how it is to be done"),
    Option("not-before", help="when it may begin: 2h, or 2026-11-22T09:00"),
)
ADD = (
    *_FIELDS,
    Option("after", help="tasks that must be done first: 12,13"),
    Option("ephemeral", value=False, help="it need not be remembered"),
    Option("draft", value=False, help="into the inbox first"),
)
EDIT = (
    Option("title", help="a new title"),
    *_FIELDS,
    Option("ephemeral", help="yes or no: it need not be remembered"),
)
PAGE = (COUNT, Option("page", help="which of them: 2"))
LIST = (
    _LANE,
    Option("agent", help="an agent's name"),
    Option("tag", help="a word it was given"),
    _PRIORITY,
    Option("wave", help="the number of a wave"),
    Option("run", help="the number of a run"),
    Option("unassigned", value=False, help="those without an agent"),
    Option("text", help="words in title or description"),
    _REPO,
    Option("category", help="what kind of work it is"),
    Option("skill", help="what its agent must be able to do"),
    Option("by", help="who added it"),
    *PAGE,
    Option("offset", help="how many to pass over"),
)
