"""What an agent may ask of its client: a permission, a file, a terminal."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from acp import Agent, Client, RequestError
from acp.schema import (
    AllowedOutcome,
    CreateElicitationResponse,
    CreateTerminalResponse,
    DeniedOutcome,
    ElicitationMode,
    EnvVariable,
    KillTerminalResponse,
    PermissionOption,
    ReadTextFileResponse,
    ReleaseTerminalResponse,
    RequestPermissionResponse,
    TerminalOutputResponse,
    ToolCallUpdate,
    WaitForTerminalExitResponse,
    WriteTextFileResponse,
)

from core.drivers.acp_bridge.files import Files
from core.drivers.acp_bridge.lines import out
from core.drivers.acp_bridge.terminals import Terminals
from core.drivers.acp_bridge.tools import text
from core.drivers.acp_bridge.updates import Updates

_WAITING = 16
"""Permissions that may wait for an answer at once."""
_SHOWN = 400 << 10
"""Bytes of what a permission is asked for: nobody allows what is not shown whole."""


class BridgeClient(Client):
    """Serves the agent. `denied`: a permission was refused in this turn."""

    def __init__(self, files: Files, terminals: Terminals, updates: Updates) -> None:
        self._files = files
        self._terminals = terminals
        self._updates = updates
        self._waiting: dict[str, asyncio.Future[str | None]] = {}
        self._asked = 0
        self.denied = False

    # -- permissions -----------------------------------------------------------------------

    async def request_permission(
        self,
        session_id: str,
        tool_call: ToolCallUpdate,
        options: list[PermissionOption],
        **more: Any,
    ) -> RequestPermissionResponse:
        self._updates.words.flush()
        piece = tool_call.model_dump(mode="json", by_alias=True, exclude_none=True)
        call = self._updates.tools.take({**piece, "status": None})
        self._updates.tools.tell(call)
        shown = {
            "title": call.title,
            "kind": call.kind,
            "input": call.input,
            "locations": call.places,
            "words": call.words,
            "changes": [
                {key: text(diff.get(key)) for key in ("path", "oldText", "newText")}
                for diff in call.diffs
            ],
        }
        if len(json.dumps(shown)) > _SHOWN or len(self._waiting) >= _WAITING:
            out("error", text=f"Not allowed, it is too much to be shown: {call.title[:200]}")
            return _outcome(None)
        choices = [{"id": o.option_id, "name": o.name, "kind": o.kind} for o in options[:20]]
        return _outcome(await self._answer(shown, choices))

    async def _answer(self, shown: dict[str, Any], choices: list[dict[str, Any]]) -> str | None:
        """The id of the option that a person chose."""
        self._asked += 1
        name = f"permission-{self._asked}"
        waiting: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._waiting[name] = waiting
        out("permission", request_id=name, call=shown, options=choices)
        try:
            chosen = await waiting
        finally:
            self._waiting.pop(name, None)
        kinds = {str(choice["id"]): str(choice["kind"]) for choice in choices}
        self.denied |= chosen is None or kinds.get(chosen, "").startswith("reject")
        return chosen if chosen in kinds else None

    def answered(self, name: str, option: str | None) -> None:
        """An answer that comes twice, or for nothing that waits, changes nothing."""
        waiting = self._waiting.get(name)
        if waiting is not None and not waiting.done():
            waiting.set_result(option)

    def cancel(self) -> None:
        """Nobody answers any more: as the protocol asks for when a turn is cancelled."""
        for name in list(self._waiting):
            self.answered(name, None)

    # -- files -----------------------------------------------------------------------------

    async def read_text_file(
        self,
        session_id: str,
        path: str,
        line: int | None = None,
        limit: int | None = None,
        **more: Any,
    ) -> ReadTextFileResponse:
        return ReadTextFileResponse(content=self._files.read(path, line, limit))

    async def write_text_file(
        self, session_id: str, path: str, content: str, **more: Any
    ) -> WriteTextFileResponse:
        before = self._files.write(path, content)
        self._updates.tools.wrote(path, before, content)
        return WriteTextFileResponse()

    # -- terminals -------------------------------------------------------------------------

    async def create_terminal(
        self,
        session_id: str,
        command: str,
        args: list[str] | None = None,
        env: list[EnvVariable] | None = None,
        cwd: str | None = None,
        output_byte_limit: int | None = None,
        **more: Any,
    ) -> CreateTerminalResponse:
        given = {variable.name: variable.value for variable in env or []}
        name = self._terminals.create(command, args or [], given, cwd, output_byte_limit)
        return CreateTerminalResponse(terminal_id=name)

    async def terminal_output(
        self, session_id: str, terminal_id: str, **more: Any
    ) -> TerminalOutputResponse:
        return self._terminals.output(terminal_id)

    async def wait_for_terminal_exit(
        self, session_id: str, terminal_id: str, **more: Any
    ) -> WaitForTerminalExitResponse:
        end = await self._terminals.get(terminal_id).ended()
        return WaitForTerminalExitResponse(exit_code=end.exit_code, signal=end.signal)

    async def kill_terminal(
        self, session_id: str, terminal_id: str, **more: Any
    ) -> KillTerminalResponse:
        self._terminals.get(terminal_id).kill()
        return KillTerminalResponse()

    async def release_terminal(
        self, session_id: str, terminal_id: str, **more: Any
    ) -> ReleaseTerminalResponse:
        self._terminals.release(terminal_id)
        return ReleaseTerminalResponse()

    # -- what is not offered ---------------------------------------------------------------

    async def session_update(self, session_id: str, update: Any, **more: Any) -> None:
        """Never called: the wire takes these as they come, to keep what is not known."""

    async def complete_elicitation(self, elicitation_id: str, **more: Any) -> None:
        return None

    async def ext_notification(self, method: str, params: dict[str, Any]) -> None:
        return None

    def on_connect(self, conn: Agent) -> None:
        return None

    async def create_elicitation(
        self, message: str, mode: ElicitationMode, **more: Any
    ) -> CreateElicitationResponse:
        raise RequestError.method_not_found("elicitation/create")

    async def ext_method(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        raise RequestError.method_not_found(f"_{method}")


def _outcome(chosen: str | None) -> RequestPermissionResponse:
    if chosen is None:
        return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
    return RequestPermissionResponse(outcome=AllowedOutcome(outcome="selected", option_id=chosen))
