"""What can be set: one frozen section a table of `bullpen.toml`, unknown keys refused.

Times are in seconds, sizes in bytes. The defaults here are the ones that the packaged
`bullpen.toml` shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
)

from core.commands.amounts import MOST_MS, MOST_TOKENS, MOST_USD
from core.model import Repo, Role, Severity

_DAY, _MOST_SECONDS = 86_400, MOST_MS // 1000

# As high as anybody may want it, and no higher than times, rows and timers can hold.
Count = Annotated[int, Field(ge=0, le=10**12)]
OneOrMore = Annotated[int, Field(gt=0, le=10**12)]
Bytes = Annotated[int, Field(gt=0, le=10**15)]
Seconds = Annotated[float, Field(ge=0, le=_MOST_SECONDS)]
Pause = Annotated[float, Field(ge=0, le=_DAY)]
SomePause = Annotated[float, Field(gt=0, le=_DAY)]
Usd = Annotated[float, Field(gt=0, le=MOST_USD)]
Tokens = Annotated[int, Field(gt=0, le=MOST_TOKENS)]


def _timezone(name: str) -> str:
    try:
        # A machine without a timezone database knows at least this one.
        if name != "UTC":
            ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"no timezone `{name}`; for instance Europe/Berlin") from error
    return name


def target(text: str) -> tuple[str, str]:
    """Where a message goes, as (platform, chat): `telegram:-100123`, or `console` alone."""
    platform, _, chat = text.partition(":")
    return platform, chat or platform


def _target(text: str) -> str:
    if text != "console" and not all(text.partition(":")):
        raise ValueError(f"no chat in `{text}`; write console, or for instance telegram:-100123")
    return text


Target = Annotated[str, AfterValidator(_target)]

_USUAL: dict[str, tuple[str, ...]] = {"crew": ("console",), "vibe-critical": ("console",)}


def _with_usual(channels: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Who sets up one channel keeps the usual others: the usual rules speak of them."""
    return _USUAL | channels


RoleName = Literal["viewer", "operator", "approver", "admin"]


class Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )


class Queue(Section):
    """`max_concurrent` 0: nothing is started."""

    paused: bool = False
    stop_on_failure: bool = True
    max_concurrent: Count = 1


def _url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[^/@\s?#]+/?", text):
        raise ValueError(f"no address `{text[:100]}`; for instance http://build-host:3021")
    return text


class Api(Section):
    """`agents_url`: how sandboxes on other machines reach the session routes; `agents_host` and
    `agents_port`: where a further door listens for them, which serves nothing else. Without
    `agents_host` what answers at that address hands on to `host` and `port`."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 3020
    agents_url: Annotated[str, AfterValidator(_url)] = ""
    agents_host: str = ""
    agents_port: Annotated[int, Field(ge=0, le=65535)] = 3021


class Site(Section):
    title: str = "Bullpen"


class RepoTable(Section):
    """`branch` empty: the source's default branch."""

    source: Annotated[str, Field(min_length=1)]
    branch: str = ""
    check: str | None = None
    forge: Literal["local"] = "local"


class Repos(BaseModel):
    """`root`: a folder whose repositories are known by their names; each other key a table."""

    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)
    __pydantic_extra__: dict[str, RepoTable] = Field(init=False)
    root: Path | None = None

    @property
    def tables(self) -> Mapping[str, RepoTable]:
        return self.__pydantic_extra__


class Telegram(Section):
    token: SecretStr = SecretStr("")
    api_base: str = "https://api.telegram.org"
    users: dict[Annotated[str, Field(pattern=r"^[0-9]+$")], RoleName] = {}


class GitHub(Section):
    token: SecretStr = SecretStr("")
    owner: str = ""


class NotifyRule(Section):
    """Events of these types (globs), at least that grave, go to `channel`."""

    channel: str
    types: tuple[str, ...] = ("*",)
    severity: Severity = Severity.INFO
    lane: str | None = None


class Retry(Section):
    """How often an attempt is made again, by how it ended; `base_seconds` doubles each time."""

    failed: Count = 0
    lost: Count = 1
    timeout: Count = 1
    stuck: Count = 2
    base_seconds: Pause = 30.0


class Qa(Section):
    max_send_backs: Count = 3


class Limits(Section):
    """`wall_seconds` 0: an attempt may run as long as it likes. `pause_seconds`: how long an
    account rests at its usage limit whose provider names no time. `interrupt_seconds`: how long
    an agent has to end its turn before it is told to go (0: it is not asked), `grace_seconds` how
    long it has then. `lost_after_seconds`: after how long without an answer a session on another
    machine counts as lost."""

    log_cap_bytes: Bytes = 64 << 20
    output_limit_bytes: Bytes = 1 << 30
    wall_seconds: Seconds = 0.0
    grace_seconds: Pause = 10.0
    interrupt_seconds: Pause = 5.0
    lost_after_seconds: Seconds = 900.0
    pause_seconds: SomePause = 1800.0


class Budget(Section):
    """The whole crew's for a calendar day; none: without a limit. `warn_at`: the share of any
    budget at which a person is asked."""

    day_usd: Usd | None = None
    day_tokens: Tokens | None = None
    warn_at: Annotated[float, Field(gt=0, le=1)] = 0.8


class Settings(Section):
    """The whole of `bullpen.toml`, with what the environment and the secrets folder say."""

    data_dir: Path = Path("data")
    default_workflow: str = "quick"
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    tick_seconds: SomePause = 60.0
    queue: Queue = Queue()
    api: Api = Api()
    site: Site = Site()
    repos: Repos = Repos()
    telegram: Telegram = Telegram()
    github: GitHub = GitHub()
    channels: Annotated[dict[str, tuple[Target, ...]], AfterValidator(_with_usual)] = _USUAL
    notify: tuple[NotifyRule, ...] = (
        NotifyRule(channel="crew"),
        NotifyRule(channel="vibe-critical", severity=Severity.CRITICAL),
    )
    retry: Retry = Retry()
    qa: Qa = Qa()
    limits: Limits = Limits()
    budget: Budget = Budget()

    def secrets(self) -> tuple[str, ...]:
        """Every secret value that is set: what redaction has to know."""
        found = (self.telegram.token, self.github.token)
        return tuple(secret.get_secret_value() for secret in found if secret)

    def people(self) -> dict[str, dict[str, Role]]:
        """Who may do what: platform → user id → role."""
        users = {user: Role[name.upper()] for user, name in self.telegram.users.items()}
        return {"telegram": users}

    def targets(self) -> dict[str, tuple[tuple[str, str], ...]]:
        """Channel → where its messages go, as (platform, chat)."""
        return {name: tuple(map(target, places)) for name, places in self.channels.items()}

    def repositories(self) -> tuple[Repo, ...]:
        """The repositories: those with a table, then those found in `repos.root`."""
        named = dict(self.repos.tables)
        for name, source in _found(self.repos.root):
            named.setdefault(name, RepoTable(source=source))
        return tuple(_repo(name, table) for name, table in named.items())


def _repo(name: str, table: RepoTable) -> Repo:
    return Repo(name, absolute(table.source), table.branch, table.check, table.forge)


def absolute(source: str) -> str:
    """A path from the current folder on; a URL, or `host:path` of ssh, as it is."""
    path = Path(source).expanduser()
    if "://" in source or (":" in source and not path.exists()):
        return source
    return str(path.absolute())


def _found(root: Path | None) -> Iterator[tuple[str, str]]:
    if root is None:
        return
    for folder in sorted(root.expanduser().iterdir()):
        if (folder / ".git").exists() or (folder / "HEAD").is_file():
            yield folder.name.removesuffix(".git"), str(folder)
