"""Events as values; every other row is turned into its noun by `core.store.rows`."""

from __future__ import annotations

import json
from typing import Any

from core.model import Event, Severity

EVENT = "type, text, severity, task_id, agent, session_id, gate_id, run_id, payload, seq, at"

_SEVERITY = {severity.value: severity for severity in Severity}


def event_of(row: Any) -> Event:
    """An event from the columns of EVENT."""
    kind, text, severity, task, agent, session, gate, run, payload, seq, at = row
    data = {} if payload == "{}" else json.loads(payload)
    return Event(kind, text, _SEVERITY[severity], task, agent, session, gate, run, data, seq, at)
