"""What people do to a task: each one a check against the table, and one transaction."""

from core.acts.beginnings import reopen, retry
from core.acts.ends import end, stop_session, words_of
from core.acts.gates import answer, approve, reject
from core.acts.standing import situation

__all__ = [
    "answer",
    "approve",
    "end",
    "reject",
    "reopen",
    "retry",
    "situation",
    "stop_session",
    "words_of",
]
