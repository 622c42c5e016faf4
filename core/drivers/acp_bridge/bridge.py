"""The bridge's life: start the agent, begin a conversation, hand on what is said to it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
from collections import deque
from pathlib import Path
from typing import Any

from acp import RequestError
from acp.client.connection import ClientSideConnection
from acp.schema import PromptResponse, TextContentBlock

from core.drivers.acp_bridge.child import Child, how
from core.drivers.acp_bridge.client import BridgeClient
from core.drivers.acp_bridge.files import Files
from core.drivers.acp_bridge.handshake import Handshake, Unable, Wishes, said
from core.drivers.acp_bridge.lines import Lines, out, reading
from core.drivers.acp_bridge.terminals import Terminals
from core.drivers.acp_bridge.tools import Tools, mapping
from core.drivers.acp_bridge.updates import Updates
from core.drivers.acp_bridge.wire import Wire, say_error

_INPUT = 64 << 20
"""Bytes of one line of input, ours."""
_LEAVE = 3.0
"""Seconds that the agent has to go when its input has ended, and again when it was told to."""
_SETTLE = 2.0
"""Seconds until the end of an agent whose output has ended is known."""


def main() -> int:
    given = _arguments().parse_args()
    logging.basicConfig(handlers=[_Told()], level=logging.WARNING, force=True)
    return asyncio.run(Bridge(given).run())


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="acp_bridge", allow_abbrev=False)
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--artifacts", required=True)
    parser.add_argument("--resume")
    parser.add_argument("--auth-method")
    parser.add_argument("--model")
    parser.add_argument("--mode")
    parser.add_argument("--mcp", type=json.loads, default=[])
    parser.add_argument("--no-files", action="store_true")
    parser.add_argument("--no-terminals", action="store_true")
    parser.add_argument("--start-timeout", type=float, default=120.0)
    parser.add_argument("command", nargs="+")
    return parser


class _Told(logging.Handler):
    """The library's complaints, a line each, without a traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        words = f"{record.getMessage()}{f': {error}' if error else ''}"
        say_error(" ".join(words.split())[:1000])


class Bridge:
    """One agent, one conversation."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        env = dict(os.environ)
        self._files = Files([Path(given.workspace), Path(given.artifacts)])
        self._terminals = Terminals(self._files, given.workspace, env)
        self._updates = Updates(Tools(self._terminals.said))
        self._client = BridgeClient(self._files, self._terminals, self._updates)
        self._env = env
        self._prompts: deque[dict[str, Any]] = deque()
        self._begun: dict[str, Any] = {}
        self._said_over = False
        self._news = asyncio.Event()
        self._ended = False
        self._stopping = False
        self._turn: str | None = None
        self._cancelled = False
        self._agent: ClientSideConnection | None = None

    async def run(self) -> int:
        """The exit status: 0 where the conversation began and the agent did not break."""
        try:
            child = Child(self._given.command, self._given.workspace, self._env, stdin=True)
        except OSError as error:
            _failed(f"{self._given.command[0]} can't be started: {error.strerror or error}")
            return 1
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop, child)
        wire = Wire(child, self._updates.take)
        await wire.open()
        self._agent = ClientSideConnection(self._client, wire)
        listening = asyncio.create_task(self._listen())
        try:
            return await self._converse(wire, child)
        finally:
            listening.cancel()
            self._client.cancel()
            self._terminals.end()
            await _leave(wire, child)

    def _stop(self, child: Child) -> None:
        """Told to end: what the agent does from now on is no failure of its own."""
        self._stopping = True
        self._terminals.end()
        child.signal(signal.SIGTERM)

    # -- the conversation ------------------------------------------------------------------

    async def _converse(self, wire: Wire, child: Child) -> int:
        try:
            session, again = await self._begin()
            while (prompt := await self._next()) is not None:
                await self._prompt(session, prompt, again)
                again = True
        except ConnectionError:
            if not self._stopping:
                self._updates.words.flush()
                _failed(await _broken(wire, child), broken=True)
            return 1
        except (Unable, RequestError, ValueError, TimeoutError) as error:
            self._updates.words.flush()
            _failed(self._why(error))
            return 1
        return 0

    def _why(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"It began no conversation within {self._given.start_timeout:g} s."
        if isinstance(error, RequestError):
            return f"It began no conversation: {said(error)}"
        if isinstance(error, ValueError):
            return f"Its answer can't be read: {_first(error)}"
        return str(error)

    async def _begin(self) -> tuple[str, bool]:
        """The session's id, and whether it is the old one."""
        assert self._agent is not None  # noqa: S101 - connected first
        given = self._given
        wishes = Wishes(
            workspace=given.workspace,
            resume=given.resume,
            auth_method=given.auth_method,
            model=given.model,
            mode=given.mode,
            mcp=given.mcp,
            files=not given.no_files,
            terminals=not given.no_terminals,
        )
        async with asyncio.timeout(given.start_timeout):
            begun = await Handshake(self._agent, wishes, self._updates).begin()
        model = begun.model or given.model or ""
        self._begun = {"session": begun.id, "agent": begun.agent, "model": model}
        out("started", **self._begun, resumed=begun.again)
        return begun.id, begun.again

    async def _next(self) -> dict[str, Any] | None:
        """The next prompt; None when there will be none."""
        while not self._prompts:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        return self._prompts.popleft()

    async def _prompt(self, session: str, prompt: dict[str, Any], again: bool) -> None:
        """One turn. `again`: the agent knows what was said before."""
        assert self._agent is not None  # noqa: S101 - connected first
        self._updates.words.begin()
        self._client.denied = self._cancelled = False
        self._turn = session
        if self._said_over:  # said after it had finished: it has not, after all
            self._said_over = False
            out("started", **self._begun, resumed=True)
        try:
            answer = await self._agent.prompt(session_id=session, prompt=_blocks(prompt, again))
        except RequestError as error:
            self._over(failure={"code": error.code, "message": said(error), "data": error.data})
        except ValueError as error:
            self._over(failure={"code": 0, "message": f"its answer can't be read: {_first(error)}"})
        else:
            self._answered(answer)
        finally:
            self._turn = None

    def _answered(self, answer: PromptResponse) -> None:
        if answer.usage is not None:
            self._updates.used.turn(answer.usage.model_dump())
        elif (beside := _beside(answer)) is not None:
            self._updates.used.turn(beside)
        if self._prompts and answer.stop_reason in ("end_turn", "cancelled"):
            self._close_turn()  # something more was said meanwhile: it is not finished
        else:
            self._over(stop=answer.stop_reason)

    def _close_turn(self) -> None:
        self._client.cancel()
        self._updates.words.flush()
        self._updates.tools.tell_all()

    def _over(self, stop: str | None = None, failure: dict[str, Any] | None = None) -> None:
        self._close_turn()
        self._said_over = True
        out(
            "finished",
            stop=stop,
            text=self._updates.words.closing.strip(),
            denied=self._client.denied and not self._cancelled,
            failure=failure,
        )

    # -- input -----------------------------------------------------------------------------

    async def _listen(self) -> None:
        lines = Lines(await reading(os.fdopen(0, "rb", buffering=0)), _INPUT)
        while (line := await lines.next()) is not None:
            with contextlib.suppress(ValueError):
                told = json.loads(line)
                if isinstance(told, dict):
                    await self._told(told)
        self._ended = True
        self._client.cancel()  # whoever could answer has gone
        self._news.set()

    async def _told(self, told: dict[str, Any]) -> None:
        if "prompt" in told:
            self._prompts.append(told)
        elif "answer" in told:
            if told.get("say"):
                self._prompts.append({"prompt": told["say"]})
            self._client.answered(str(told["answer"]), told.get("option"))
        elif "interrupt" in told:
            await self._interrupt()
        self._news.set()

    async def _interrupt(self) -> None:
        """What was said before it is not done any more; what is said after it is."""
        self._prompts.clear()
        self._cancelled = True
        if self._turn is None or self._agent is None:
            out("finished", stop="cancelled", text="", denied=False, failure=None)
            return
        with contextlib.suppress(ConnectionError):
            await self._agent.cancel(session_id=self._turn)
        self._client.cancel()


def _blocks(prompt: dict[str, Any], again: bool) -> list[Any]:
    """A fresh conversation hears the rules of its task first, and all that was said."""
    words = prompt["prompt"] if again else prompt.get("whole") or prompt["prompt"]
    first = [prompt["instructions"]] if prompt.get("instructions") and not again else []
    return [TextContentBlock(type="text", text=str(text)) for text in [*first, words]]


def _beside(answer: PromptResponse) -> dict[str, int] | None:
    """What a turn used where it stands beside the protocol's own field (Gemini's CLI)."""
    count = mapping(mapping(mapping(answer.field_meta).get("quota")).get("token_count"))
    given = {key: count.get(key) for key in ("input_tokens", "output_tokens")}
    found = {key: value for key, value in given.items() if isinstance(value, int) and value > 0}
    return {**found, "total_tokens": sum(found.values())} if found else None


def _failed(words: str, broken: bool = False) -> None:
    """The conversation can't go on. `broken`: the agent ended before its turn did."""
    out("failed", text=words, broken=broken)


async def _broken(wire: Wire, child: Child) -> str:
    """Why nothing comes any more: how the agent ended, and what it said last."""
    if wire.problem is not None:
        return f"The agent can't be understood: {wire.problem}."
    if not await child.waited(_SETTLE) or child.status is None:
        return "The agent closed its output, and went on."
    last = " · ".join(line.strip() for line in list(wire.last_errors)[-4:] if line.strip())
    more = f": {last}" if last else ""
    return f"The agent ended in the middle of its work ({how(child.status)}){more}"


async def _leave(wire: Wire, child: Child) -> None:
    """Its input has ended: it goes by itself, or it is told to, or it is ended."""
    with contextlib.suppress(Exception):
        await wire.close()
    if not await child.waited(_LEAVE):
        child.signal(signal.SIGTERM)
        await child.waited(_LEAVE)
    child.signal(signal.SIGKILL)


def _first(error: ValueError) -> str:
    """What the library misses in an answer, in a line."""
    return " ".join(str(error).split())[:300]
