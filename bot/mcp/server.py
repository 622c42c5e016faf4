"""The tools."""

from __future__ import annotations

import secrets
from typing import Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

from bot.mcp.client import WAIT, Client, artifact, client
from core.errors import BullpenError

FOREVER = float("inf")
INSTRUCTIONS = (
    "Tools of Bullpen, which has given you this task. Tell people how it goes with "
    "report_progress, ask them with ask_human when you can't decide, hand over documents with "
    "write_artifact, and say how your work has ended with report_outcome."
)


class Tools:
    def __init__(self, way: Client) -> None:
        self._way = way

    async def report_progress(
        self, text: Annotated[str, Field(description="One line: what you are at")]
    ) -> str:
        """Tell people in a line how it goes."""
        await self._call("POST", "progress", {"text": text})
        return "Told."

    async def ask_human(
        self,
        question: Annotated[str, Field(description="What you need to know, and why")],
        context: Context[Any],
        options: Annotated[
            list[str] | None, Field(description="Up to ten short answers to choose from")
        ] = None,
    ) -> str:
        """Ask a person, and wait for the answer, however long it takes."""
        body = {"text": question, "options": options or [], "key": secrets.token_hex(16)}
        gate = (await self._call("POST", "question", body, patience=FOREVER))["gate"]
        looks = 0
        while gate["state"] == "open":
            looks += 1
            await context.report_progress(looks, message=f"{gate['ref']} waits for an answer")
            path = f"gates/{gate['id']}?wait={WAIT}"
            gate = (await self._call("GET", path, patience=FOREVER))["gate"]
        if gate["state"] != "answered":
            raise ToolError(f"{gate['ref']} was {gate['state']}: {gate['answer'] or 'no answer'}")
        return str(gate["answer"])

    async def write_artifact(
        self,
        name: Annotated[str, Field(description="A file name, for instance plan.md")],
        content: str,
    ) -> str:
        """Hand over a document; the same name again makes a new version."""
        data = content.encode("utf-8", "replace")
        kept = await self._call("PUT", artifact(name), data=data)
        return f"{kept['name']} is kept as version {kept['version']}."

    async def read_artifact(self, name: str) -> str:
        """Read a document of this task: your own, another step's, or raw-input.md (the task as
        it was given)."""
        data = await self._call("GET", artifact(name))
        return data.decode("utf-8", "replace") if isinstance(data, bytes) else str(data)

    async def report_outcome(
        self,
        outcome: Annotated[str, Field(description="One of those that your step declares")],
        summary: str = "",
    ) -> str:
        """Say how your work has ended, as your step's outcomes name it. The last one counts."""
        await self._call("POST", "outcome", {"outcome": outcome, "summary": summary})
        return f"Your outcome is {outcome}."

    async def _call(self, *words: Any, **more: Any) -> Any:
        try:
            return await self._way.call(*words, **more)
        except BullpenError as error:
            raise ToolError(str(error)) from None


def serve() -> None:
    """Speak on standard input and output until they end. Raises Broken, in one line."""
    tools = Tools(client())
    server = MCPServer("bullpen", instructions=INSTRUCTIONS, log_level="WARNING")
    for tool in (
        tools.report_progress,
        tools.ask_human,
        tools.write_artifact,
        tools.read_artifact,
        tools.report_outcome,
    ):
        server.add_tool(tool)
    server.run("stdio")
