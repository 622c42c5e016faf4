"""The lines of the scripted agent `tests/fakes/claude`: what it reads and what it writes."""

import json
import os
import queue
import sys
import time
import uuid
from pathlib import Path

VERSION = "0.0.0-scripted"
MODEL = "scripted-1"


class Interrupted(Exception):
    """The user wants this turn to end."""


class Wire:
    def __init__(self, options):
        self.session = options.get("--resume") or str(uuid.uuid4())
        self.mode = options.get("--permission-mode", "default")
        self.model = options.get("--model", MODEL)
        self.memory = Path.home() / ".fake-claude" / f"{self.session}.json"
        self.prompts = []
        self.inbox = queue.Queue()
        self.waiting = []
        self.calls = self.turns = self.total = 0
        self.extra_in = self.extra_out = 0
        self.cost = 0.0
        self.denials = []
        self.said = ""

    # -- input --------------------------------------------------------------------------

    def listen(self):
        for line in sys.stdin:
            try:
                self.inbox.put(json.loads(line))
            except ValueError:
                print(f"Error parsing streaming input line: {line.strip()}", file=sys.stderr)
                os._exit(1)
        self.inbox.put(None)

    def next_prompt(self):
        while True:
            message = self.waiting.pop(0) if self.waiting else self.inbox.get()
            if message is None:
                return None
            if message["type"] == "user":
                return words(message["message"]["content"])
            if message["type"] == "control_request":
                self.acknowledge(message)

    def acknowledge(self, message):
        response = {"subtype": "success", "request_id": message["request_id"]}
        self.emit({"type": "control_response", "response": response})

    def wait(self, seconds=None, request_id=None):
        """Until an answer to that request, or that many seconds; an interrupt ends it."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                message = self.inbox.get(timeout=left)
            except queue.Empty:
                return None
            if message is None:
                self.waiting.append(None)
                if request_id is not None:
                    sys.exit(1)
                time.sleep(left or 0)
                return None
            if message["type"] == "control_request":
                self.acknowledge(message)
                if message["request"]["subtype"] == "interrupt":
                    raise Interrupted
            elif message["type"] == "control_response":
                if message["response"]["request_id"] == request_id:
                    return message["response"]["response"]
            else:
                self.waiting.append(message)

    # -- output -------------------------------------------------------------------------

    def emit(self, value):
        self.raw(json.dumps(value, ensure_ascii=False))

    def raw(self, text):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def stamped(self, value):
        self.emit({**value, "session_id": self.session, "uuid": str(uuid.uuid4())})

    def init(self):
        self.stamped(
            {
                "type": "system",
                "subtype": "init",
                "cwd": os.getcwd(),
                "tools": ["AskUserQuestion", "Bash", "Write"],
                "mcp_servers": [],
                "model": self.model,
                "permissionMode": self.mode,
                "slash_commands": [],
                "apiKeySource": "none",
                "claude_code_version": VERSION,
                "output_style": "default",
                "agents": [],
            }
        )

    def assistant(self, block, error=None, usage=None):
        message = {
            "id": f"msg_{uuid.uuid4().hex[:12]}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [block],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage or {"input_tokens": 10, "output_tokens": 5},
        }
        self.turns += 1
        more = {"error": error} if error else {}
        self.stamped({"type": "assistant", "message": message, "parent_tool_use_id": None, **more})

    def say(self, text):
        self.said = text
        self.assistant({"type": "text", "text": text})

    def call(self, tool, given):
        self.calls += 1
        call = f"toolu_{self.calls}"
        self.assistant({"type": "tool_use", "id": call, "name": tool, "input": given})
        return call

    def returned(self, call, content, structured, is_error=False):
        block = {"tool_use_id": call, "type": "tool_result", "content": content}
        if is_error:
            block["is_error"] = True
        message = {"role": "user", "content": [block]}
        self.stamped(
            {
                "type": "user",
                "message": message,
                "parent_tool_use_id": None,
                "timestamp": "2026-01-01T00:00:00.000Z",
                "tool_use_result": structured,
            }
        )

    def result(self, subtype, text, error=False, status=None, **more):
        failed = error or subtype != "success"
        used = {
            "inputTokens": 10 * self.total + self.extra_in,
            "outputTokens": 5 * self.total + self.extra_out,
            "cacheReadInputTokens": 0,
            "cacheCreationInputTokens": 0,
            "webSearchRequests": 0,
            "costUSD": 0.001 * self.total,
        }
        words = {"api_error_status": status, "result": text} if subtype == "success" else {}
        self.stamped(
            {
                "type": "result",
                "subtype": subtype,
                "is_error": failed,
                **words,
                "duration_ms": 1,
                "duration_api_ms": 1,
                "num_turns": self.turns,
                "stop_reason": "end_turn",
                "total_cost_usd": 0.001 * self.total + self.cost,
                "usage": {"input_tokens": 10 * self.turns, "output_tokens": 5 * self.turns},
                "modelUsage": {self.model: used} if self.total else {},
                "permission_denials": self.denials,
                **more,
            }
        )


def words(content):
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block["type"] == "text")
