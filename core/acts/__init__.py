"""What people do to a task: each one a check against the table, and one transaction."""

from core.acts.beginnings import ready, reopen, retry
from core.acts.deleting import delete, may_delete
from core.acts.ends import (
    end,
    force,
    kill,
    release,
    stop_session,
    without_mercy,
    words_of,
)
from core.acts.gates import answer, approve, reject
from core.acts.resting import pause, resume, waits_for
from core.acts.standing import situation

__all__ = [
    "answer",
    "approve",
    "delete",
    "end",
    "force",
    "kill",
    "may_delete",
    "pause",
    "ready",
    "reject",
    "release",
    "reopen",
    "resume",
    "retry",
    "situation",
    "stop_session",
    "waits_for",
    "without_mercy",
    "words_of",
]
