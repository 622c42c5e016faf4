"""What an agent has done to a file, and what has become of its conversation, in words."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from core.model import AgentEvent, AgentEventKind, FileChange, Session, task_ref


def file_words(path: str, added: int, removed: int) -> str:
    """`src/a.py (+26 lines)`, `src/a.py (+3 −1)`, `src/a.py (−4 lines)`."""
    if added and removed:
        return f"{path} (+{added} −{removed})"
    number = added or removed
    return f"{path} ({'+' if added else '−'}{number} line{'' if number == 1 else 's'})"


def lost_words(session: Session) -> str:
    """That it begins a conversation anew, since the old one is gone."""
    return (
        f"{task_ref(session.task_id)} · {session.agent}'s conversation is lost: it is told "
        "everything again, and goes on"
    )


def worded(event: AgentEvent, workspace: str) -> AgentEvent:
    """A change of a file, named from the workspace on, with its numbers where they are known; any
    other event as it is."""
    if event.kind is not AgentEventKind.FILE_CHANGE:
        return event
    data = event.data
    path, added, removed = str(data.get("path") or ""), data.get("added"), data.get("removed")
    if not path:
        return event
    inside = PurePath(path)
    short = str(inside.relative_to(workspace)) if inside.is_relative_to(workspace) else path
    if isinstance(added, int) and isinstance(removed, int) and (added > 0 or removed > 0):
        text = file_words(short, added, removed)
    else:
        text = event.text.replace(path, short)
    return AgentEvent(event.kind, text, {**data, "path": short})


def changes(files: Iterable[FileChange]) -> list[AgentEvent]:
    """What is seen in the commits of an agent that tells of no file itself."""
    return [
        AgentEvent(
            AgentEventKind.FILE_CHANGE,
            file_words(file.path, file.added, file.removed)
            if file.added or file.removed
            else f"{file.path} ({file.kind if file.kind != 'text' else 'changed'})",
            {"path": file.path, "added": file.added, "removed": file.removed},
        )
        for file in files
    ]
