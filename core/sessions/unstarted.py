"""What an attempt leaves that never started, or has ended."""

from __future__ import annotations

from pathlib import Path

import structlog

from core.errors import BullpenError
from core.model import SessionState
from core.ports import Exit, Sandbox
from core.sessions.handing import hand_over
from core.store import sessions
from core.store.database import Tx

log = structlog.get_logger(__name__)


def agent_gone(tx: Tx, session_id: str) -> None:
    """Its agent was taken out of the configuration before it began."""
    session = sessions.get(tx, session_id)
    if session.state is SessionState.STARTING and sessions.attempt_ended(
        tx, sessions.get_attempt(tx, session_id), Exit(reason="not_started")
    ):
        hand_over(tx, session)


def order_anew(tx: Tx, session_id: str) -> None:
    """The ordered attempt has not started and never will: order the next one."""
    attempt = sessions.get_attempt(tx, session_id)
    if sessions.attempt_ended(tx, attempt, Exit(reason="not_started")):
        new = sessions.new_attempt(tx, session_id)
        iteration = sessions.get_iteration(tx, session_id)
        tx.run(
            "UPDATE iterations SET attempt = ? WHERE session_id = ? AND number = ?",
            (new.number, session_id, iteration.number),
        )


async def forget(sandbox: Sandbox, folder: Path) -> None:
    """Nothing secret stays in its folder. One that can't be cleared, an agent has made so: that
    holds nothing up."""
    try:
        await sandbox.forget(folder)
    except (BullpenError, OSError) as error:
        log.warning("an attempt's folder can't be cleared", why=str(error))
