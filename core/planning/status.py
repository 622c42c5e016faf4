"""How an agent stands, derived from its sessions and never stored (model.md, Agent)."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from core.model import SessionState

_WITH_PROCESS = (SessionState.STARTING, SessionState.RUNNING, SessionState.TERMINATING)


class AgentStatus(StrEnum):
    OFFLINE = "offline"
    WORKING = "working"
    BLOCKED = "blocked"
    IDLE = "idle"


def agent_status(able: bool, sessions: Iterable[tuple[SessionState, bool]]) -> AgentStatus:
    """`able`: enabled and healthy. `sessions`: the state of each that is not over, and whether
    it waits at a gate. One that works while another's result is reviewed is working."""
    found = list(sessions)
    if not able:
        return AgentStatus.OFFLINE
    live = [waits for state, waits in found if state in _WITH_PROCESS]
    if live and not any(live):
        return AgentStatus.WORKING
    return AgentStatus.BLOCKED if any(waits for _, waits in found) else AgentStatus.IDLE
