"""The beginning of a conversation: versions, login, a session new or old, mode and model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from acp import PROTOCOL_VERSION, RequestError
from acp.client.connection import ClientSideConnection
from acp.schema import (
    ClientCapabilities,
    EnvVariable,
    FileSystemCapabilities,
    Implementation,
    InitializeResponse,
    LoadSessionResponse,
    McpServerStdio,
    NewSessionResponse,
    ResumeSessionResponse,
    SessionConfigOptionSelect,
    SessionConfigSelectGroup,
)

from core.drivers.acp_bridge.lines import out
from core.drivers.acp_bridge.updates import Updates

_LOGIN = -32000
"""The protocol's error of an agent that wants a login first."""

T = TypeVar("T")
Answer = NewSessionResponse | LoadSessionResponse | ResumeSessionResponse


class Unable(Exception):
    """The conversation can't begin; says why in one line."""


@dataclass(frozen=True)
class Wishes:
    """What the driver asked for."""

    workspace: str
    resume: str | None = None
    auth_method: str | None = None
    model: str | None = None
    mode: str | None = None
    mcp: Sequence[str] = ()
    files: bool = True
    terminals: bool = True


@dataclass(frozen=True)
class Begun:
    """A session of the agent's. `again`: it goes on with the old one."""

    id: str
    agent: str
    model: str
    again: bool


class Handshake:
    """Raises Unable, RequestError and ConnectionError."""

    def __init__(self, agent: ClientSideConnection, wishes: Wishes, updates: Updates) -> None:
        self._agent = agent
        self._wishes = wishes
        self._updates = updates
        self._login: list[str] = []

    async def begin(self) -> Begun:
        hello = await self._agent.initialize(
            protocol_version=PROTOCOL_VERSION,
            client_capabilities=ClientCapabilities(
                fs=FileSystemCapabilities(
                    read_text_file=self._wishes.files, write_text_file=self._wishes.files
                ),
                terminal=self._wishes.terminals,
            ),
            client_info=Implementation(name="bullpen", title="Bullpen", version="1"),
        )
        if hello.protocol_version != PROTOCOL_VERSION:
            raise Unable(
                f"It speaks version {hello.protocol_version} of the Agent Client Protocol, "
                f"Bullpen speaks version {PROTOCOL_VERSION}: install another version of it."
            )
        self._login = [f"{way.id} ({way.name})" for way in hello.auth_methods or []]
        about = hello.agent_info
        name = " ".join(filter(None, (about.title or about.name, about.version))) if about else ""
        old = await self._old(hello) if self._wishes.resume else None
        if old is not None:
            found: Answer = old
            session = self._wishes.resume or ""
        else:
            new = await self._logged_in(self._new)
            found, session = new, new.session_id
        await self._mode(session, found)
        model = await self._model(session, found)
        return Begun(session, name or "the agent", model, old is not None)

    # -- a session, old or new -------------------------------------------------------------

    async def _old(self, hello: InitializeResponse) -> Answer | None:
        """The conversation of before; None, with a word why, where it can't go on."""
        able = hello.agent_capabilities
        keeps = able.session_capabilities if able else None
        resumes = bool(keeps and keeps.resume is not None)
        if not resumes and not (able and able.load_session):
            self._fresh("this agent keeps none")
            return None
        self._updates.replaying = True  # what it repeats has been told before
        try:
            return await self._logged_in(self._resume if resumes else self._load)
        except RequestError as error:
            self._fresh(said(error))
            return None
        finally:
            self._updates.replaying = False

    def _fresh(self, reason: str) -> None:
        words = f"It can't go on with its conversation ({reason}): a fresh one begins."
        out("note", text=words)

    async def _new(self) -> NewSessionResponse:
        return await self._agent.new_session(
            cwd=self._wishes.workspace, mcp_servers=[*self._servers()]
        )

    async def _load(self) -> Answer:
        return await self._agent.load_session(
            cwd=self._wishes.workspace,
            session_id=self._wishes.resume or "",
            mcp_servers=[*self._servers()],
        )

    async def _resume(self) -> Answer:
        return await self._agent.resume_session(
            cwd=self._wishes.workspace,
            session_id=self._wishes.resume or "",
            mcp_servers=[*self._servers()],
        )

    def _servers(self) -> list[McpServerStdio]:
        """Bullpen's own, with what it needs to find the way back: agents pass on nothing."""
        if not self._wishes.mcp:
            return []
        program, *args = self._wishes.mcp
        env = [
            EnvVariable(name=name, value=value)
            for name, value in os.environ.items()
            if name.startswith("BULLPEN_")
        ]
        command = shutil.which(program) or program
        return [McpServerStdio(name="bullpen", command=command, args=args, env=env)]

    async def _logged_in(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do it; where the agent wants a login first, log in as configured."""
        try:
            return await act()
        except RequestError as error:
            if error.code != _LOGIN:
                raise
            ways = ", ".join(self._login) or "none that it names"
            if self._wishes.auth_method is None:
                raise Unable(
                    "It wants a login. Give it its key in the agent's environment, or set "
                    f"options.auth_method to one of its ways: {ways}."
                ) from error
        try:
            await self._agent.authenticate(method_id=self._wishes.auth_method)
            return await act()
        except RequestError as error:
            raise Unable(
                f"Its login by {self._wishes.auth_method} failed ({said(error)}). "
                f"Its ways are: {ways}."
            ) from error

    # -- mode and model --------------------------------------------------------------------

    async def _mode(self, session: str, found: Answer) -> None:
        """Raises Unable for a mode that the agent does not know: another may allow too much."""
        wanted = self._wishes.mode
        if wanted is None:
            return
        if found.modes is not None:
            known = {mode.id: mode.name for mode in found.modes.available_modes}
            chosen = _chosen("mode", wanted, known)
            if chosen != found.modes.current_mode_id:
                await self._agent.set_session_mode(session_id=session, mode_id=chosen)
            return
        if await self._set(session, found, "mode", wanted) is None:
            raise Unable("It has no modes to choose from: take options.mode out.")

    async def _model(self, session: str, found: Answer) -> str:
        """The model that answers, as far as the agent says so."""
        if self._wishes.model is None:
            option = _option(found, "model")
            found_out = option.current_value if option is not None else ""
            return "" if found_out == "default" else found_out
        model = await self._set(session, found, "model", self._wishes.model)
        if model is None:
            out("note", text="It lets nobody choose its model over the protocol.")
        return model or ""

    async def _set(self, session: str, found: Answer, what: str, wanted: str) -> str | None:
        """None where the agent has no such setting."""
        option = _option(found, what)
        if option is None:
            return None
        value = _chosen(what, wanted, _values(option))
        if value != option.current_value:
            await self._agent.set_config_option(
                config_id=option.id, session_id=session, value=value
            )
        return value


def _option(found: Answer, what: str) -> SessionConfigOptionSelect | None:
    for option in found.config_options or []:
        if isinstance(option, SessionConfigOptionSelect) and what in (option.category, option.id):
            return option
    return None


def _values(option: SessionConfigOptionSelect) -> dict[str, str]:
    known = {}
    for one in option.options:
        for choice in one.options if isinstance(one, SessionConfigSelectGroup) else [one]:
            known[choice.value] = choice.name
    return known


def _chosen(what: str, wanted: str, known: dict[str, str]) -> str:
    """The value of that id, or of that name whatever its case."""
    if wanted in known:
        return wanted
    for value, name in known.items():
        if wanted.casefold() in (name.casefold(), value.casefold()):
            return value
    names = ", ".join(list(known)[:30])
    raise Unable(f"It has no {what} {wanted}. It has: {names}.")


def said(error: RequestError) -> str:
    """An error of the agent's in a line: its message, and what it says beside that."""
    words: Any = error.data
    if isinstance(words, dict):
        words = words.get("details") or words.get("message") or words.get("error")
    more = f": {words}" if isinstance(words, str) and words not in str(error) else ""
    return " ".join(f"{error}{more}".split())[:600] or f"error {error.code}"
