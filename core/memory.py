"""What a persistent agent remembers from task to task: one file, which is the agent's.

It may lie where the agent writes it itself, so no link is followed.
"""

from __future__ import annotations

from pathlib import Path

from core.errors import Refused
from core.handed import MISSING, NotTaken, one_folder, opened, replace_in

NAME = "MEMORY.md"
LARGEST = 1 << 20


def memory_folder(data: Path, agent: str) -> Path:
    """Where the file lies; nothing else of ours is there."""
    return data / "agents" / agent / "memory"


def read_memory(data: Path, agent: str) -> bytes:
    """What it remembers; nothing yet: empty. Raises Refused for what is no file of that size."""
    try:
        with one_folder(memory_folder(data, agent)) as inner, opened(inner, NAME, LARGEST) as file:
            return file.read(LARGEST)
    except NotTaken as no:
        if str(no) == MISSING:
            return b""
        raise Refused(f"The memory of {agent} is {no}.") from None


def write_memory(data: Path, agent: str, text: bytes) -> None:
    """Replace it whole. Raises Refused."""
    if len(text) > LARGEST:
        raise Refused(f"A memory has at most {LARGEST >> 20} MB.")
    folder = memory_folder(data, agent)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with one_folder(folder) as inner:
            replace_in(inner, NAME, text, 0o600)
    except (NotTaken, OSError) as error:
        raise Refused(f"The memory of {agent} can't be written: {error}.") from None
