"""The real agents of the Agent Client Protocol: how each is told about its scripted model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.gemini_server import GeminiServer
from tests.fakes.model_server import ModelServer, Use
from tests.fakes.responses_server import ResponsesServer
from tests.needs import need


@dataclass(frozen=True)
class Kit:
    """One agent. `variable` names its program where that isn't on the PATH.

    `options`: what its configuration says besides its command. `writes`, `runs`, `asks`: how its
    model writes a file, runs a command, asks a question. `resumes`: it finds a conversation of
    an earlier process again."""

    name: str
    variable: str
    program: str
    package: str
    args: tuple[str, ...] = ()
    server: type[ModelServer] = ModelServer
    options: Mapping[str, Any] = field(default_factory=dict)
    resumes: bool = True

    def command(self) -> list[str]:
        """Its command line; the test is skipped by name where it isn't installed."""
        found = shutil.which(os.environ.get(self.variable, self.program))
        need(self.name, found is not None, f"npm install -g {self.package}")
        assert found is not None
        return [found, *self.args]

    def env(self, home: Path, url: str) -> dict[str, str]:
        """Its whole environment: nothing of this machine's, its model on loopback."""
        found = {"HOME": str(home), "PATH": f"{os.defpath}:{os.environ['PATH']}"}
        return found | _ENVIRONMENTS[self.name](url, home)

    def writes(self, path: Path, content: str) -> Use:
        return _WRITES[self.name](path, content)

    def runs(self, command: str) -> Use:
        return _RUNS[self.name](command)

    def asks(self, question: str) -> Use:
        """How its model calls the tool `ask` of the MCP server `bullpen`."""
        return Use(_ASKS[self.name], {"question": question})


CLAUDE = Kit("claude-agent-acp", "BULLPEN_TEST_CLAUDE_ACP", "claude-agent-acp",
             "@agentclientprotocol/claude-agent-acp")
OPENCODE = Kit("opencode", "BULLPEN_TEST_OPENCODE", "opencode", "opencode-ai", ("acp",))
GEMINI = Kit("gemini", "BULLPEN_TEST_GEMINI", "gemini", "@google/gemini-cli", ("--acp",),
             server=GeminiServer, options={"files": False}, resumes=False)
CODEX = Kit("codex-acp", "BULLPEN_TEST_CODEX_ACP", "codex-acp", "@zed-industries/codex-acp",
            server=ResponsesServer)
KITS = [CLAUDE, OPENCODE, GEMINI, CODEX]


def _claude(url: str, home: Path) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": "dummy", "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1", "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "CLAUDE_CODE_MAX_RETRIES": "0"}


def _opencode(url: str, home: Path) -> dict[str, str]:
    model = "anthropic/claude-sonnet-4-5"
    config = {
        "autoupdate": False, "share": "disabled", "model": model, "small_model": model,
        "enabled_providers": ["anthropic"],
        "provider": {"anthropic": {"options": {"baseURL": f"{url}/v1", "apiKey": "dummy"}}},
        "permission": {"edit": "ask", "bash": "ask"}}
    return {
        "OPENCODE_CONFIG_CONTENT": json.dumps(config), "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1", "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1"}


def _gemini(url: str, home: Path) -> dict[str, str]:
    settings = {
        "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False,
                    "maxAttempts": 1},
        "privacy": {"usageStatisticsEnabled": False}, "telemetry": {"enabled": False},
        "security": {"auth": {"selectedType": "gemini-api-key"}}}
    (home / ".gemini").mkdir(parents=True, exist_ok=True)
    (home / ".gemini" / "settings.json").write_text(json.dumps(settings))
    return {
        "GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": "dummy", "GEMINI_MODEL": "gemini-2.5-pro",
        "GEMINI_CLI_TRUST_WORKSPACE": "true", "GEMINI_CLI_NO_RELAUNCH": "true"}


def _codex(url: str, home: Path) -> dict[str, str]:
    config = (
        'model = "gpt-5"\nmodel_provider = "scripted"\napproval_policy = "untrusted"\n'
        'sandbox_mode = "danger-full-access"\ncheck_for_update_on_startup = false\n'
        "[analytics]\nenabled = false\n"
        f'[model_providers.scripted]\nname = "scripted"\nbase_url = "{url}/v1"\n'
        'env_key = "OPENAI_API_KEY"\nwire_api = "responses"\n'
        "request_max_retries = 0\nstream_max_retries = 0\n")
    (home / ".codex").mkdir(parents=True, exist_ok=True)
    (home / ".codex" / "config.toml").write_text(config)
    return {"OPENAI_API_KEY": "dummy"}


_ENVIRONMENTS = {"claude-agent-acp": _claude, "opencode": _opencode, "gemini": _gemini,
                 "codex-acp": _codex}


def _patch(path: Path, content: str) -> str:
    lines = "".join(f"+{line}\n" for line in content.splitlines())
    return f"*** Begin Patch\n*** Add File: {path}\n{lines}*** End Patch"


_WRITES = {
    "claude-agent-acp": lambda path, text: Use("Write", {"file_path": str(path), "content": text}),
    "opencode": lambda path, text: Use("write", {"filePath": str(path), "content": text}),
    "gemini": lambda path, text: Use("write_file", {"file_path": str(path), "content": text}),
    "codex-acp": lambda path, text: Use("shell_command", {
        "command": f"apply_patch <<'EOF'\n{_patch(path, text)}\nEOF\n"}),
}


def _describe(command: str) -> Mapping[str, str]:
    return {"command": command, "description": "as asked"}


_RUNS = {
    "claude-agent-acp": lambda command: Use("Bash", _describe(command)),
    "opencode": lambda command: Use("bash", _describe(command)),
    "gemini": lambda command: Use("run_shell_command", _describe(command)),
    "codex-acp": lambda command: Use("shell_command", {"command": command}),
}

_ASKS = {"claude-agent-acp": "mcp__bullpen__ask", "opencode": "bullpen_ask",
         "gemini": "mcp_bullpen_ask", "codex-acp": "mcp__bullpen/ask"}
