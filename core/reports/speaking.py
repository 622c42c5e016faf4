"""Who may speak, and how what they say is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import Refused
from core.model import (
    Attempt,
    AttemptState,
    Iteration,
    IterationState,
    Session,
    SessionState,
    Severity,
)
from core.store import sessions
from core.store.database import Tx


class Over(Refused):
    """Said by an attempt that has ended, or that a newer one has replaced."""


class TooOften(Refused):
    """More than is taken at a time: later again."""


def at_work(tx: Tx, attempt: Attempt) -> tuple[Session, Iteration]:
    """The session and iteration that this attempt is at work on. Raises Over."""
    newest = sessions.get_attempt(tx, attempt.session_id)
    session = sessions.get(tx, attempt.session_id)
    iteration = sessions.get_iteration(tx, attempt.session_id)
    live = session.state in (SessionState.STARTING, SessionState.RUNNING)
    is_open = iteration.state in (IterationState.RUNNING, IterationState.WAITING)
    if newest.number != attempt.number or newest.state is AttemptState.ENDED:
        raise Over(f"Attempt {attempt.number} of {session.id} has ended: it is heard no more.")
    if not live or not is_open or iteration.attempt != attempt.number:
        raise Over(f"{session.id} is ending: it is heard no more.")
    return session, iteration


def emit(
    tx: Tx,
    session: Session,
    kind: str,
    text: str,
    payload: Mapping[str, Any] | None = None,
    severity: Severity = Severity.DEBUG,
) -> None:
    sessions.tell(tx, session, kind, text, severity, payload)


def one_line(text: str, most: int) -> str:
    """What can be seen of it, on one line."""
    words = " ".join("".join(m if m.isprintable() else " " for m in text[: 4 * most]).split())
    return words if len(words) <= most else words[: most - 1] + "…"


def visible(text: str) -> str:
    """The text with escapes for what a screen swallows or obeys; line ends stay."""
    return "".join(
        mark if mark.isprintable() or mark == "\n" else mark.encode("unicode_escape").decode()
        for mark in text
    )
