"""How far the site has come: a small file beside its pages."""

from __future__ import annotations

import hashlib
import json
import secrets as random
from dataclasses import asdict, dataclass, field
from pathlib import Path

from site_gen.render import Settings, look
from site_gen.replace import Folder

NAME = ".state.json"


@dataclass(slots=True)
class Memory:
    """The newest event and log line that the pages show, the time when they were made and the
    day that was today; for each run what is said to hold its tasks back; marks of the crew
    and of what was spent.

    `key` stands for look, settings and secrets, salted and slow to guess, since the folder
    may be served.
    """

    salt: str = ""
    key: str = ""
    seq: int = 0
    log_seq: int = 0
    day: str = ""
    at: int = 0
    crew: str = ""
    money: str = ""
    held: dict[str, dict[str, str]] = field(default_factory=dict)

    @staticmethod
    def load(root: Path) -> Memory:
        """What was remembered; a fresh one when the file is missing or damaged."""
        try:
            return Memory(**json.loads((root / NAME).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return Memory(salt=random.token_hex(16))

    def save(self, folder: Folder) -> None:
        before = folder.written
        folder.put(NAME, json.dumps(asdict(self)).encode())
        folder.written = before

    def hold(self, run: int, held: dict[int, str]) -> set[int] | None:
        """Remember what holds tasks of that run back; returns those of which something else was
        said before. None: nothing was known of that run."""
        now = {str(task): why for task, why in held.items()}
        before = self.held.get(str(run))
        self.held[str(run)] = now
        if before is None:
            return None
        both = before.keys() | now.keys()
        return {int(task) for task in both if before.get(task) != now.get(task)}

    def key_of(self, settings: Settings) -> str:
        """The key that these settings have today, in this version."""
        said = json.dumps([look(), settings.title, settings.demo, sorted(settings.secrets)])
        return hashlib.scrypt(
            said.encode(), salt=self.salt.encode(), n=4096, r=8, p=1, dklen=16
        ).hex()
