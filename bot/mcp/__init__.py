"""What agents may ask of Bullpen as tools: a server of the Model Context Protocol on standard
input and output, which the agent starts itself. It is a client of the session routes."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def mcp_command() -> tuple[str, ...]:
    """The command line that starts it on this machine; empty where the extra is missing. `-P`:
    what lies in an agent's workspace is never imported."""
    if find_spec("mcp") is None:
        return ()
    return (sys.executable, "-P", "-m", "bot.cli", "mcp")


def mcp_needs() -> tuple[Path, ...]:
    """What that command reads, besides the system's own folders."""
    prefixes = {Path(sys.prefix), Path(sys.base_prefix)} - {Path("/usr")}
    return (*sorted(prefixes), _ROOT / "bot", _ROOT / "core")
