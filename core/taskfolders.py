"""The task folders: rewritten after each committed change, so that tasks can be rebuilt from
them when the database is lost."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from core import views
from core.artifacts import folder_name, write_atomically
from core.house import House
from core.model import ENDED, Task, task_ref
from core.redaction import Redactor, StreamRedactor
from core.store.database import Row, Tx
from core.views import Db, SessionStory, TaskPage

STALE = (
    "SELECT id, revision FROM tasks INDEXED BY tasks_stale_folder "
    "WHERE folder_revision < revision LIMIT 200"
)
DELETED = "SELECT * FROM deleted_tasks INDEXED BY deleted_unmarked WHERE marked = 0 LIMIT 200"


@dataclass(slots=True)
class _Log:
    """How far a log is written, and what of it is held back as a secret may go on."""

    seq: int
    stream: StreamRedactor


class TaskFolders:
    """`sync()` writes what has changed since; a crash before it is made good by the next."""

    def __init__(self, house: House, redactor: Redactor) -> None:
        self._house = house
        self._redactor = redactor
        self._written: dict[Path, _Log] = {}

    async def sync(self) -> int:
        """Bring stale folders up to date; returns how many there were."""
        stale = await self._house.store.read(STALE)
        for row in stale:
            page = await self._house.store.view(partial(_page, row["id"]))
            if page is not None:
                await self._write(page)
        if stale:
            await self._house.store.write(lambda tx: _mark(tx, stale))
        return len(stale) + await self._deleted()

    async def _deleted(self) -> int:
        """The folder of a deleted task stays, and says so."""
        found = await self._house.store.read(DELETED)
        for row in found:
            path = self._house.data / row["folder"] / "task.json"
            await asyncio.to_thread(_say_end, path, row)
        if found:
            await self._house.store.write(lambda tx: _mark_deleted(tx, found))
        return len(found)

    async def _write(self, page: TaskPage) -> None:
        task = page.task
        folder = self._house.artifacts.folder(task)
        for number, story in enumerate(page.sessions, 1):
            await self._session(folder, number, story)
        await asyncio.to_thread(_write_page, folder, page)
        live = any(s.session.ended_at is None for s in page.sessions)
        if task.state in ENDED and not live:
            self._move(task, folder, "completed")
        elif task.state not in ENDED:
            self._move(task, folder, "active")

    def _move(self, task: Task, folder: Path, place: str) -> None:
        to = self._house.artifacts.root / place / folder_name(task)
        if folder != to:
            to.parent.mkdir(parents=True, exist_ok=True)
            folder.rename(to)
            self._written = {
                path: log for path, log in self._written.items() if folder not in path.parents
            }

    async def _session(self, folder: Path, number: int, story: SessionStory) -> None:
        session = story.session
        name = f"step-{number:02d}-{session.step}.{session.id}"
        run = folder / "runs" / f"{name}.json"
        await asyncio.to_thread(write_atomically, run, _json(_run(story)))
        await self._log(folder / "logs" / f"{name}.log", story)

    async def _log(self, path: Path, story: SessionStory) -> None:
        """Append what is new; a log that this process hasn't written before is written whole."""
        session = story.session
        log = self._written.get(path)
        if log is None:
            log = _Log(0, self._redactor.stream())
            await asyncio.to_thread(_begin, path)
        self._written.pop(path, None)  # until it is known what of it stands there
        while lines := await self._house.store.view(partial(_lines, session.id, log.seq)):
            await asyncio.to_thread(_append, path, log, lines)
        if session.ended_at is not None:
            await asyncio.to_thread(_append, path, log, ())
        self._written[path] = log


def _begin(path: Path) -> None:
    """An empty file, for nobody else on this machine to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _append(path: Path, log: _Log, lines: Sequence[views.LogLine]) -> None:
    """Those lines, redacted; none: what was held back, for that is all."""
    if lines:
        log.seq = lines[-1].seq
        text = log.stream.feed("".join(f"{line.text}\n" for line in lines))
    else:
        text = log.stream.close()
    if text:
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(text)


def _write_page(folder: Path, page: TaskPage) -> None:
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "task.json", _json(_task(page)))


def _say_end(path: Path, row: Row) -> None:
    write_atomically(path, _json(_told(path) | _end(row)))


def _page(task_id: int, db: Db) -> TaskPage | None:
    return views.task_page(db, task_id)


def _lines(session_id: str, after: int, db: Db) -> tuple[views.LogLine, ...]:
    return views.log_after(db, session_id, after, 2000)


def _mark(tx: Tx, stale: list[Row]) -> None:
    for row in stale:
        tx.run(
            "UPDATE tasks SET folder_revision = ? WHERE id = ? AND folder_revision < ?",
            (row["revision"], row["id"], row["revision"]),
        )


def _mark_deleted(tx: Tx, found: list[Row]) -> None:
    for row in found:
        tx.run("UPDATE deleted_tasks SET marked = 1 WHERE id = ?", (row["id"],))


def _told(path: Path) -> dict[str, Any]:
    """What the file says so far; nothing where it can't be read."""
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _end(row: Row) -> dict[str, Any]:
    return {
        "format": 1,
        "ref": task_ref(row["id"]),
        "id": row["id"],
        "title": row["title"],
        "state": "deleted",
        "deleted_by": row["deleted_by"],
        "deleted_at": row["deleted_at"],
        "sessions": json.loads(row["sessions"]),
    }


def _task(page: TaskPage) -> dict[str, Any]:
    task = page.task
    fields = {name: getattr(task, name) for name in Task.__slots__ if name != "change"}
    return {
        "format": 1,
        "ref": task.ref,
        **{key: value for key, value in fields.items() if value is not None},
        "criteria": [{"text": c.text, "state": c.state} for c in page.criteria],
        "labels": {kind: list(values) for kind, values in page.labels.items()},
        "needs": [needed[0] for needed in page.needs],
        "sessions": [story.session.id for story in page.sessions],
        "gates": [
            {
                "gate": gate.ref,
                "kind": gate.kind,
                "state": gate.state,
                "answered_by": gate.answered_by,
                "answer": gate.answer,
            }
            for gate in page.gates
        ],
        "artifacts": [
            {"name": a.name, "version": a.version, "sha256": a.sha256, "author": a.author}
            for a in page.artifacts
        ],
    }


def _run(story: SessionStory) -> dict[str, Any]:
    session = story.session
    return {
        "session": session.id,
        "step": session.step,
        "agent": session.agent,
        "state": session.state,
        "outcome": session.outcome,
        "reason": session.reason,
        "started_at": session.started_at,
        "ended_at": session.ended_at,
        "tokens_in": session.tokens_in,
        "tokens_out": session.tokens_out,
        "cost_usd": session.cost_usd,
        "attempts": [
            {
                "number": a.number,
                "state": a.state,
                "handle": a.handle,
                "exit_status": a.exit_status,
                "exit_signal": a.exit_signal,
                "exit_reason": a.exit_reason,
                "started_at": a.started_at,
                "ended_at": a.ended_at,
            }
            for a in story.attempts
        ],
    }


def _json(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()
