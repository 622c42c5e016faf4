"""A scripted agent that speaks the Agent Client Protocol, by the official package's agent side.

FAKE_ACP names a JSON file: an object with `acts` (a list, or a list of lists, one for each
prompt) and with what it is: `version`, `loads`, `resumes` (true), `login` (a list of ways),
`modes`, `models`, `name`. An act is an object with one of these keys:

    say TEXT · chunks [TEXT] · think TEXT · plan [TEXT] · update OBJECT (as it is)
    read PATH · write PATH (with `content`): through the client, and told of as a tool call
    terminal COMMAND (with `args`, `cwd`, `limit`, `wait`) · background COMMAND: never released
    permission COMMAND: asks, and runs it when allowed · together [COMMAND]: asks for all at once
    edit PATH (with `old`, `new`): writes by itself, told of as a diff
    hang SECONDS (until it is cancelled) · sleep SECONDS (whatever comes) · usage OBJECT
    raw TEXT · flood BYTES · stderr TEXT · spawn COMMAND (in a session of its own)
    error OBJECT (of JSON-RPC) · stop REASON · crash STATUS · kill SIGNAL · close (its output)

Without acts it does what the prompt's lines say: `permission: COMMAND`, `wait`, `fail: TEXT`,
`limit: TEXT`; and the first line of the prompt's
last block goes to NOTES.md. Conversations are kept under
$HOME/.fake-acp, so that they can be loaded, with all that was said repeated.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from acp import Agent, RequestError, run_agent
from acp.helpers import (
    plan_entry,
    start_tool_call,
    text_block,
    tool_content,
    tool_diff_content,
    tool_terminal_ref,
    update_agent_message_text,
    update_agent_thought_text,
    update_plan,
    update_tool_call,
    update_user_message_text,
)
from acp.schema import (
    AgentCapabilities,
    AuthMethodAgent,
    EnvVariable,
    Implementation,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PermissionOption,
    PromptResponse,
    ResumeSessionResponse,
    SessionCapabilities,
    SessionConfigOptionSelect,
    SessionConfigSelectOption,
    SessionMode,
    SessionModeState,
    SessionResumeCapabilities,
    SetSessionConfigOptionResponse,
    ToolCallUpdate,
    Usage,
)

OPTIONS = [
    PermissionOption(option_id="yes", name="Allow", kind="allow_once"),
    PermissionOption(option_id="ever", name="Always allow", kind="allow_always"),
    PermissionOption(option_id="no", name="Reject", kind="reject_once"),
]


class Stopped(Exception):
    """The turn ends for this reason."""


class FakeAgent(Agent):
    def __init__(self, play: dict[str, Any]) -> None:
        self.play = play
        self.client: Any = None
        self.cancelled = asyncio.Event()
        self.logged_in = not play.get("login")
        self.said: list[list[str]] = []
        self.session = ""
        self.calls = 0
        self.spent = 0
        self.turns = 0
        self.last: dict[str, Any] = {}

    def on_connect(self, conn: Any) -> None:
        self.client = conn

    # -- sessions -----------------------------------------------------------------------

    async def initialize(self, protocol_version: int, **more: Any) -> InitializeResponse:
        if self.play.get("mute"):
            await asyncio.sleep(3600)
        resumes = SessionResumeCapabilities() if self.play.get("resumes") else None
        return InitializeResponse(
            protocol_version=self.play.get("version", protocol_version),
            agent_capabilities=AgentCapabilities(
                load_session=self.play.get("loads", True),
                session_capabilities=SessionCapabilities(resume=resumes)),
            agent_info=Implementation(name=self.play.get("name", "fake"), version="1.2"),
            auth_methods=[AuthMethodAgent(id=way, name=way.title())
                          for way in self.play.get("login", [])])

    async def authenticate(self, method_id: str, **more: Any) -> None:
        if method_id not in self.play.get("login", []):
            raise RequestError.invalid_params({"details": f"no such way: {method_id}"})
        self.logged_in = True

    async def new_session(self, cwd: str, mcp_servers: Any = None, **more: Any) -> Any:
        self.enter()
        self.session = str(uuid.uuid4())
        self.keep()
        self.note({"cwd": cwd, "mcp": [server.model_dump() for server in mcp_servers or []]})
        return NewSessionResponse(session_id=self.session, **self.settings())

    async def load_session(self, cwd: str, session_id: str, **more: Any) -> Any:
        self.find(session_id)
        for who, words in self.said:
            made = update_user_message_text if who == "user" else update_agent_message_text
            await self.tell(made(words))
        return LoadSessionResponse(**self.settings())

    async def resume_session(self, session_id: str, cwd: str, **more: Any) -> Any:
        self.find(session_id)
        return ResumeSessionResponse(**self.settings())

    def enter(self) -> None:
        if not self.logged_in:
            raise RequestError.auth_required()

    def find(self, session_id: str) -> None:
        self.enter()
        self.session = session_id
        if not self.memory.exists():
            raise RequestError.resource_not_found(session_id)
        self.said = json.loads(self.memory.read_text())

    @property
    def memory(self) -> Path:
        return Path.home() / ".fake-acp" / f"{Path(self.session).name}.json"

    def keep(self) -> None:
        self.memory.parent.mkdir(exist_ok=True)
        self.memory.write_text(json.dumps(self.said))

    def note(self, what: dict[str, Any]) -> None:
        """For tests: what it was given lately."""
        self.last |= what
        (Path.home() / "fake-acp-last.json").write_text(json.dumps(self.last))

    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if modes := self.play.get("modes"):
            known = [SessionMode(id=mode, name=mode.title()) for mode in modes]
            found["modes"] = SessionModeState(current_mode_id=modes[0], available_modes=known)
        if models := self.play.get("models"):
            known_models = [SessionConfigSelectOption(value=m, name=m.title()) for m in models]
            found["config_options"] = [SessionConfigOptionSelect(
                id="model", name="Model", category="model", type="select",
                current_value=models[0], options=known_models)]
        return found

    async def set_session_mode(self, session_id: str, mode_id: str, **more: Any) -> None:
        self.note({"mode": mode_id})

    async def set_config_option(self, config_id: str, session_id: str, value: Any,
                                **more: Any) -> Any:
        self.note({config_id: value})
        return SetSessionConfigOptionResponse(config_options=self.settings()["config_options"])

    async def cancel(self, session_id: str, **more: Any) -> None:
        self.cancelled.set()

    # -- a turn -------------------------------------------------------------------------

    async def prompt(self, session_id: str, prompt: Any, **more: Any) -> PromptResponse:
        self.cancelled.clear()
        self.said.append(["user", "\n\n".join(block.text for block in prompt)])
        self.keep()
        self.note({"blocks": [block.text for block in prompt]})
        acts = self.play.get("acts") or self.read_prompt(prompt[-1].text)
        if isinstance(acts[0], list):
            acts = acts[min(self.turns, len(acts) - 1)]
        self.turns += 1
        self.usage: Usage | None = None
        stop = "end_turn"
        try:
            for act in acts:
                await self.act(act)
        except Stopped as reason:
            stop = str(reason)
        self.keep()
        return PromptResponse(stop_reason=stop, usage=self.usage)  # type: ignore[arg-type]

    def read_prompt(self, words: str) -> list[dict[str, Any]]:
        lines = [line.strip("> ") for line in words.splitlines() if line.strip()]
        acts: list[dict[str, Any]] = []
        for line in lines:
            key, _, rest = line.partition(": ")
            if key == "permission":
                acts.append({"permission": rest})
            elif key == "fail":
                acts.append({"error": {"code": -32603, "message": rest}})
            elif key == "limit":
                acts.append({"error": {"code": -32603, "message": f"429 {rest}"}})
            elif line == "wait":
                acts.append({"say": "Waiting."})
                acts.append({"hang": 3600})
        notes = Path("NOTES.md")
        kept = notes.read_text() if notes.exists() else ""
        users = sum(who == "user" for who, _ in self.said)
        last = {"say": f"Noted, prompt {users}: {lines[0] if lines else ''}"}
        return [*acts, {"edit": str(notes.absolute()), "old": kept,
                        "new": f"{kept}{lines[0] if lines else ''}\n"}, last]

    async def act(self, act: dict[str, Any]) -> None:
        for key, value in act.items():
            if found := getattr(self, f"do_{key}", None):
                await found(value, act)
                return
        raise RequestError.internal_error({"details": f"no such act: {act}"})

    async def tell(self, update: Any) -> None:
        await self.client.session_update(session_id=self.session, update=update)

    async def do_say(self, text: str, act: dict[str, Any]) -> None:
        self.said.append(["agent", text])
        await self.tell(update_agent_message_text(text))

    async def do_chunks(self, pieces: list[str], act: dict[str, Any]) -> None:
        for piece in pieces:
            await self.tell(update_agent_message_text(piece))

    async def do_think(self, text: str, act: dict[str, Any]) -> None:
        await self.tell(update_agent_thought_text(text))

    async def do_plan(self, steps: list[str], act: dict[str, Any]) -> None:
        done = act.get("done", 0)
        await self.tell(update_plan([
            plan_entry(step, status="completed" if at < done else "pending")
            for at, step in enumerate(steps)]))

    async def do_update(self, update: dict[str, Any], act: dict[str, Any]) -> None:
        self.write({"jsonrpc": "2.0", "method": "session/update",
                    "params": {"sessionId": self.session, "update": update}})

    async def call(self, title: str, kind: Any, given: Any, **more: Any) -> str:
        self.calls += 1
        name = f"call-{self.calls}"
        await self.tell(start_tool_call(name, title, kind=kind, status="pending"))
        await self.tell(update_tool_call(name, raw_input=given, status="in_progress", **more))
        return name

    async def result(self, name: str, text: str, failed: bool = False, **more: Any) -> None:
        content = more.pop("content", [tool_content(text_block(text))])
        await self.tell(update_tool_call(
            name, status="failed" if failed else "completed", content=content, **more))

    async def do_read(self, path: str, act: dict[str, Any]) -> None:
        name = await self.call(f"Read {path}", "read", {"path": path})
        try:
            found = await self.client.read_text_file(
                session_id=self.session, path=path, line=act.get("line"), limit=act.get("limit"))
            await self.result(name, found.content)
        except RequestError as error:
            await self.result(name, f"{error.code} {error}", failed=True)

    async def do_write(self, path: str, act: dict[str, Any]) -> None:
        name = await self.call(f"Write {path}", "edit", {"path": path})
        try:
            await self.client.write_text_file(
                session_id=self.session, path=path, content=act["content"])
            await self.result(name, "written", content=[tool_diff_content(path, act["content"])])
        except RequestError as error:
            await self.result(name, f"{error.code} {error}", failed=True)

    async def do_edit(self, path: str, act: dict[str, Any]) -> None:
        diff = tool_diff_content(path, act["new"], act.get("old"))
        name = await self.call(f"Edit {path}", "edit", {"path": path}, content=[diff])
        Path(path).write_text(act["new"])
        await self.tell(update_tool_call(name, status="completed"))

    async def do_terminal(self, command: str, act: dict[str, Any]) -> None:
        name = await self.call(command, "execute", {"command": command})
        try:
            made = await self.client.create_terminal(
                session_id=self.session, command=command, args=act.get("args"),
                cwd=act.get("cwd"), env=[EnvVariable(name="GREETING", value="hello")],
                output_byte_limit=act.get("limit"))
        except RequestError as error:
            await self.result(name, f"{error.code} {error}", failed=True)
            return
        at = {"session_id": self.session, "terminal_id": made.terminal_id}
        await self.tell(update_tool_call(name, content=[tool_terminal_ref(made.terminal_id)]))
        if not act.get("wait", True):
            await self.client.kill_terminal(**at)
        end = await self.client.wait_for_terminal_exit(**at)
        told = await self.client.terminal_output(**at)
        await self.client.release_terminal(**at)
        self.note({"exit": end.exit_code, "signal": end.signal, "truncated": told.truncated})
        await self.result(name, "", content=[tool_terminal_ref(made.terminal_id)])

    async def do_background(self, command: str, act: dict[str, Any]) -> None:
        await self.client.create_terminal(session_id=self.session, command=command)

    async def ask(self, command: str) -> None:
        self.calls += 1
        call = ToolCallUpdate(tool_call_id=f"call-{self.calls}", title=f"Run {command}",
                              kind="execute", raw_input={"command": command})
        answer = await self.client.request_permission(
            session_id=self.session, tool_call=call, options=OPTIONS)
        chosen = getattr(answer.outcome, "option_id", None)
        self.note({"chosen": chosen})
        if chosen in ("yes", "ever"):
            done = subprocess.run(command, shell=True, capture_output=True, text=True)
            await self.result(call.tool_call_id, done.stdout + done.stderr, done.returncode != 0)
        else:
            await self.result(call.tool_call_id, "not allowed", failed=True)
            if self.cancelled.is_set():
                raise Stopped("cancelled")
            if self.play.get("stops_when_denied"):
                raise Stopped("cancelled")

    async def do_permission(self, command: str, act: dict[str, Any]) -> None:
        await self.ask(command)

    async def do_together(self, commands: list[str], act: dict[str, Any]) -> None:
        await asyncio.gather(*(self.ask(command) for command in commands))

    async def do_hang(self, seconds: float, act: dict[str, Any]) -> None:
        try:
            await asyncio.wait_for(self.cancelled.wait(), seconds)
        except TimeoutError:
            return
        raise Stopped("cancelled")

    async def do_sleep(self, seconds: float, act: dict[str, Any]) -> None:
        await asyncio.sleep(seconds)

    async def do_usage(self, used: dict[str, Any], act: dict[str, Any]) -> None:
        self.usage = Usage(**used)

    async def do_raw(self, text: str, act: dict[str, Any]) -> None:
        os.write(1, text.encode(errors="surrogatepass") + b"\n")

    async def do_flood(self, count: int, act: dict[str, Any]) -> None:
        os.set_blocking(1, True)
        while count > 0:
            count -= os.write(1, b"x" * min(count, 1 << 16))

    async def do_stderr(self, text: str, act: dict[str, Any]) -> None:
        print(text, file=sys.stderr, flush=True)

    async def do_spawn(self, command: str, act: dict[str, Any]) -> None:
        subprocess.Popen(command, shell=True, start_new_session=True)

    async def do_error(self, error: dict[str, Any], act: dict[str, Any]) -> None:
        raise RequestError(error["code"], error["message"], error.get("data"))

    async def do_stop(self, reason: str, act: dict[str, Any]) -> None:
        raise Stopped(reason)

    async def do_crash(self, status: int, act: dict[str, Any]) -> None:
        os._exit(status)

    async def do_kill(self, name: str, act: dict[str, Any]) -> None:
        os.kill(os.getpid(), getattr(signal, name))
        await asyncio.sleep(3600)

    async def do_close(self, value: Any, act: dict[str, Any]) -> None:
        os.close(1)
        await asyncio.sleep(3600)

    def write(self, message: dict[str, Any]) -> None:
        os.write(1, json.dumps(message).encode() + b"\n")


def main() -> None:
    play = json.loads(Path(os.environ["FAKE_ACP"]).read_text()) if "FAKE_ACP" in os.environ else {}
    if words := play.get("says_first"):
        print(words, file=sys.stderr, flush=True)
    if (status := play.get("fails")) is not None:
        sys.exit(status)
    # Going on without a repetition is new in the protocol.
    asyncio.run(run_agent(FakeAgent(play), use_unstable_protocol=True))


if __name__ == "__main__":
    main()
