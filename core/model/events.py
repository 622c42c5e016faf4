"""What happened, what agents say, and who speaks where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec

from core.model.states import Severity


@dataclass(frozen=True, slots=True)
class Event:
    """What happened. `seq` is 0 until it is stored; `text` is a sentence for people."""

    type: str
    text: str = ""
    severity: Severity = Severity.INFO
    task_id: int | None = None
    agent: str | None = None
    session_id: str | None = None
    gate_id: int | None = None
    run_id: int | None = None
    payload: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0
    at: int = 0


class AgentEventKind(StrEnum):
    """What an agent may say, whatever its driver. See `AgentEvent` for each one's data."""

    STARTED = "started"
    TEXT = "text"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"
    FILE_CHANGE = "file_change"
    USAGE = "usage"
    PERMISSION_REQUEST = "permission_request"
    QUESTION = "question"
    ERROR = "error"
    LIMIT = "limit"
    OUTCOME = "outcome"
    FINISHED = "finished"


class AgentEvent(msgspec.Struct, frozen=True):
    """One thing an agent said or did, translated at the wall.

    `text` is what a person reads. `data` by kind: started `{driver_session, model}` (with `afresh`
    it is known to begin a conversation, whatever it was told to go on with) · text
    `{closing: True}` (its closing words so far, where its result brings none along) ·
    tool_call `{id, name, input}` · tool_result `{id, is_error}` · file_change
    `{path, added, removed}` · usage `{tokens_in, tokens_out, cost_usd}` (what this session
    process has used so far, not a difference; with `message`, its id: that answer of the model's
    alone, until the next total; with `conversation`: of all its processes up to here; `cached`
    of the tokens in the provider had kept; `model`) ·
    permission_request `{request, tool, input}` · question `{request, questions: [{question,
    options: [label]}]}` · limit `{reset_at}` (ms, or None) · outcome `{name}` · finished
    `{ok, error}` (the driver's verdict; `text` is the agent's closing words).
    """

    kind: AgentEventKind
    text: str = ""
    data: Mapping[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a platform and that platform's immutable user id. Never a display name."""

    platform: str
    user_id: str
    name: str = ""

    @property
    def key(self) -> str:
        return f"{self.platform}:{self.user_id}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was said. `reply_to` is the id of the message it answers."""

    platform: str
    chat: str
    message: str | None = None
    thread: str | None = None
    reply_to: str | None = None
    private: bool = True
