"""Who takes a task, in a line for people."""

from __future__ import annotations

from collections import Counter

from core import dispatch, planning, queue
from core.commands.desk import Desk
from core.model import Task, TaskState
from core.store.database import Tx

INSTALL = (
    "No agent here can do that: install Claude Code "
    "(npm install -g @anthropic-ai/claude-code), or give a command with --run."
)


def who_takes_it(tx: Tx, desk: Desk, task: Task) -> str:
    """One line: what it waits for, or who takes it, or what is missing."""
    if task.state is TaskState.INBOX:
        return f"In the inbox. /ready {task.id} lets it go."
    if task.state is TaskState.BLOCKED:
        return "Waits for the tasks that come before it."
    if queue.load(tx, desk.house.policy).paused:
        return "Ready, but the queue is paused: /resume lets it go on."
    found = dispatch.candidates(tx, desk.house, task, desk.able, Counter())
    if task.assignee is not None:
        found = [match for match in found if match.agent.name == task.assignee]
    best = planning.best(found)
    if best is not None:
        return f"Ready. {best.agent.name} takes it (fits {best.score})."
    if task.assignee is not None:
        return desk.house.missing(desk.house.agent(task.assignee)) or INSTALL
    return (
        "; ".join(
            match.why_not
            for match in found
            if match.why_not and "only runs commands" not in match.why_not
        )
        or INSTALL
    )
