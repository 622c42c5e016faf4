"""A task's artifacts, with every version that was kept."""

from __future__ import annotations

from core.views.reading import Db
from core.views.story import Artifact


def versions(db: Db, task_id: int) -> tuple[Artifact, ...]:
    """Every version of every artifact of a task, by name, the newest last."""
    return tuple(
        Artifact(*row)
        for row in db.execute(
            "SELECT name, version, kind, author, sha256, size, created_at FROM artifacts"
            " WHERE task_id = ? ORDER BY name, version",
            (task_id,),
        )
    )
