"""Templates into bytes. Whatever comes from outside is redacted, cleaned and escaped here,
in one place that no template can forget."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from core.model import gate_ref, run_ref, task_ref
from core.redaction import Redactor
from core.views import estimate
from site_gen import words
from site_gen.crew import Crew, crew_of
from site_gen.log import log_markup

_CONTROL = re.compile(
    r"\x1b(?:\][^\x07\x1b]*(?:\x07|\x1b\\)?|\[[0-9;?]*[ -/]*[@-~]?|[@-Z\\^_])"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,100}")
_SHORT = 80


@dataclass(frozen=True, slots=True)
class Settings:
    """What the bot tells the child. `interval` is in seconds; `secrets` never reach a page."""

    interval: float = 60.0
    title: str = "Bullpen"
    secrets: tuple[str, ...] = ()
    demo: bool = False
    crew: Crew = field(default_factory=Crew)

    def __repr__(self) -> str:
        return f"Settings(title={self.title!r}, interval={self.interval}, secrets=…)"

    @staticmethod
    def from_json(line: str) -> Settings:
        """From one JSON object; unknown keys are left alone. Raises ValueError."""
        said = json.loads(line)
        if not isinstance(said, dict):
            raise ValueError("The settings must be one JSON object.")
        return Settings(
            interval=float(said.get("interval", 60.0)),
            title=str(said.get("title", "Bullpen")),
            secrets=tuple(map(str, said.get("secrets", ()))),
            demo=bool(said.get("demo", False)),
            crew=crew_of(said),
        )


class Renderer:
    """Pages of one look, for one set of settings."""

    def __init__(self, settings: Settings) -> None:
        clean = cleaner(settings.secrets)
        self._env = _environment(clean)
        self._env.filters["clean"] = clean
        self._env.filters["log"] = log_markup(Redactor(settings.secrets), strip)
        self._env.globals.update(
            site=settings,
            columns=words.COLUMNS,
            states=words.STATES,
            run_states=words.RUNS,
            run_order=words.RUN_ORDER,
            glyphs=words.GLYPHS,
            held=words.held,
            estimate=estimate,
            answer=words.answer,
            priorities=words.PRIORITIES,
            task_ref=task_ref,
            gate_ref=gate_ref,
            run_ref=run_ref,
            span=words.span,
            duration=words.duration,
            tests=words.tests,
            session_file=session_file,
        )

    def page(self, template: str, **values: Any) -> bytes:
        """One page; `root` is the way back to the site's top folder."""
        return self._env.get_template(template).render(values).encode("utf-8", "replace")


def strip(text: str) -> str:
    """Without control characters, terminal sequences and what turns the reading direction."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def cleaner(secrets: tuple[str, ...]) -> Callable[[Any], Any]:
    """What every printed value passes before it is escaped."""
    redactor = Redactor(secrets)

    def clean(text: str) -> str:
        return redactor.text(strip(text))

    remembered = lru_cache(16_384)(clean)

    def finalize(value: Any) -> Any:
        if isinstance(value, Markup) or not isinstance(value, str):
            return value
        return remembered(value) if len(value) <= _SHORT else clean(value)

    return finalize


def session_file(session_id: str) -> str:
    """A session's file name without its ending, made of its id only."""
    if _ID.fullmatch(session_id):
        return session_id
    return "x" + hashlib.sha256(session_id.encode()).hexdigest()[:24]


def look() -> str:
    """A hash of templates, assets and version: another look means another site."""
    digest = hashlib.sha256(_version().encode())
    for name, data in (*_files("templates"), *_files("static"), *_files("")):
        digest.update(name.encode() + b"\0" + data + b"\0")
    return digest.hexdigest()[:32]


def assets() -> list[tuple[str, bytes]]:
    """The files that every page shares, as (path in the site, content)."""
    return [(f"static/{name}", data) for name, data in _files("static")]


def _environment(finalize: Callable[[Any], Any]) -> Environment:
    env = Environment(
        loader=PackageLoader("site_gen"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=finalize,
    )
    env.filters.update(
        badge=words.badge, when=words.when, clock=words.clock, money=words.money, count=words.count
    )
    return env


def _files(folder: str) -> list[tuple[str, bytes]]:
    entries = resources.files("site_gen").joinpath(folder).iterdir()
    return sorted((entry.name, entry.read_bytes()) for entry in entries if entry.is_file())


def _version() -> str:
    try:
        return version("bullpen")
    except PackageNotFoundError:  # run from a plain folder
        return "0"
