"""An MCP server with one tool, `ask`, which answers with BULLPEN_TOKEN: for agents' tests.

Its argument: how many seconds it takes to be there, as on a busy machine.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

TOOL = {
    "name": "ask",
    "description": "Ask a person",
    "inputSchema": {"type": "object", "properties": {"question": {"type": "string"}}},
}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any]:
    if method == "initialize":
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "asking", "version": "1"}}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        words = f"{params['arguments']['question']} yes, says {os.environ.get('BULLPEN_TOKEN')}"
        return {"content": [{"type": "text", "text": words}]}
    return {}


time.sleep(float(sys.argv[1]) if sys.argv[1:] else 0)
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        result = answer(message["method"], message.get("params") or {})
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
