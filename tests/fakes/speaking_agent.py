"""An agent of the standard library alone that speaks over its session's socket: asks, waits for
the answer, writes it down as an artifact, and reports an outcome. Put to work again, it ends."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
import time
from typing import Any


class Way(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(os.environ["BULLPEN_SOCKET"])


def ask(method: str, path: str, body: Any = None, raw: bytes | None = None) -> Any:
    """The answer; tried again while the bot is away."""
    while True:
        way = Way("localhost", timeout=90)
        try:
            headers = {"Authorization": "Bearer " + os.environ["BULLPEN_TOKEN"]}
            data = raw if raw is not None else json.dumps(body).encode() if body else None
            way.request(method, "/api/session/" + path, data, headers)
            answer = way.getresponse()
            text = answer.read()
            print(method, path, answer.status, text[:200].decode(), flush=True)
            return json.loads(text)
        except (OSError, http.client.HTTPException) as error:
            print("away:", error, flush=True)
            time.sleep(0.1)
        finally:
            way.close()


def main(outcome: str) -> None:
    known = [one["name"] for one in ask("GET", "artifacts")["artifacts"]]
    if "colour.md" in known:
        return
    ask("POST", "progress", {"text": "Thinking about colours"})
    question = {"text": "Red or blue?", "options": ["red", "blue"], "key": "colour"}
    gate = ask("POST", "question", question)["gate"]
    while gate["state"] == "open":
        gate = ask("GET", f"gates/{gate['id']}?wait=30")["gate"]
    ask("PUT", "artifacts/colour.md", raw=gate["answer"].encode())
    ask("POST", "outcome", {"outcome": outcome, "summary": f"It is to be {gate['answer']}."})


main(sys.argv[1])
