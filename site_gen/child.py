"""The child process: one line in, one line out, until the input ends."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from site_gen.build import Builder
from site_gen.render import Settings


def serve(data: Path, out: Path, lines: Iterable[str], answers: TextIO) -> None:
    """The first line holds the settings as JSON, each later one says `tick`; each is answered
    by one line of JSON, with `error` in it when that tick failed (the next may do better)."""
    incoming = iter(lines)
    first = next(incoming, None)
    if first is None:
        return
    settings = Settings.from_json(first)
    builder: Builder | None = None
    for line in incoming:
        if line.strip() != "tick":
            _say(answers, {"error": "Only 'tick' is understood."})
            continue
        try:
            builder = builder or Builder(data, out, settings)
            _say(answers, asdict(builder.tick()))
        except Exception as error:  # the answer carries it, and a fresh start may mend it
            _say(answers, {"error": f"{type(error).__name__}: {error}"})
            if builder is not None:
                builder.close()
            builder = None
    if builder is not None:
        builder.close()


def _say(answers: TextIO, answer: dict[str, object]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
