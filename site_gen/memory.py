"""How far the site has come: a small file beside its pages."""

from __future__ import annotations

import hashlib
import json
import secrets as random
from dataclasses import asdict, dataclass
from pathlib import Path

from site_gen.render import Settings, look
from site_gen.replace import Folder

NAME = ".state.json"


@dataclass(slots=True)
class Memory:
    """The newest event and log line that the pages show, and the day that was today.

    `key` stands for look, settings and secrets, salted and slow to guess, since the folder
    may be served.
    """

    salt: str = ""
    key: str = ""
    seq: int = 0
    log_seq: int = 0
    day: int = 0

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

    def key_of(self, settings: Settings) -> str:
        """The key that these settings have today, in this version."""
        said = json.dumps(
            [look(), settings.title, settings.agents, settings.demo, sorted(settings.secrets)]
        )
        return hashlib.scrypt(
            said.encode(), salt=self.salt.encode(), n=4096, r=8, p=1, dklen=16
        ).hex()
