"""Files that two worktrees change at once: told once a pair of tasks, in one message."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence

from core.cards.words import path as shown
from core.model import AgentEvent, AgentEventKind, Event, Session, Severity, Task, task_ref
from core.store import files, tasks
from core.store.database import Tx

MOST, LONGEST = 500, 300
"""Names, and characters of one, that are taken from an agent at a time."""
_NAMED = 3


def seen(tx: Tx, task: Task, paths: Iterable[str]) -> None:
    """The task has changed these files, named from its repository's root; whoever else is at
    one of them is told of, with both tasks. A further file edits that message."""
    taken = list(dict.fromkeys(path for path in paths if 0 < len(path) <= LONGEST))[:MOST]
    for other, shared in files.record(tx, task, taken).items():
        first, second = sorted((task.id, other))
        tx.emit(
            Event(
                "task.overlapped",
                f"{task_ref(first)} and {task_ref(second)} both change {_named(shared)}",
                Severity.WARNING,
                task_id=first,
                run_id=task.run_id,
                payload={"key": f"overlap:{first}:{second}", "other": second, "paths": shared[:20]},
            )
        )


def reported(tx: Tx, session: Session, events: Sequence[AgentEvent]) -> None:
    """What an agent itself says that it changed."""
    said = [str(one.data.get("path")) for one in events if one.kind is AgentEventKind.FILE_CHANGE]
    inside = [found for path in said if (found := relative(session.worktree, path))]
    if inside:
        seen(tx, tasks.get(tx, session.task_id), inside)


def relative(workspace: str, path: str) -> str | None:
    """The path from the workspace's root; None for what lies outside, and for git's own."""
    found = posixpath.normpath(posixpath.join(workspace, path))
    root = posixpath.normpath(workspace) + "/"
    name = found.removeprefix(root)
    return None if name == found or name.split("/")[0] == ".git" else name


def _named(paths: Sequence[str]) -> str:
    names = ", ".join(shown(path) for path in paths[:_NAMED])
    return names + (f" (+{len(paths) - _NAMED})" if len(paths) > _NAMED else "")
