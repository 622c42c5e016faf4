"""The configuration, read once and whole: settings, crew, workflows and prompts.

Whatever is wrong in any of them is told together, one line each.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from config.agents import load_agents
from config.faults import explain
from config.prices import load_prices
from config.prompts import load_prompts
from config.settings import Settings, absolute
from config.sources import Layers, lay_environment, lay_secrets, read_toml
from config.workflows import load_workflows
from core.errors import Unclear
from core.model import Agent, Repo, Workflow
from core.prices import Price

PACKAGED = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that was configured. `file` is the settings file that was read; `places`: it, and
    all else in which a user's own configuration lies."""

    settings: Settings
    agents: tuple[Agent, ...]
    workflows: tuple[Workflow, ...]
    repos: tuple[Repo, ...]
    prompts: Mapping[str, str]
    prices: Mapping[str, Price]
    file: Path
    places: tuple[Path, ...] = ()


def load(
    config: str | None = None,
    data: str | None = None,
    repo: str | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Configuration:
    """Read everything. `config`, `data` and `repo` come from the command line and win.

    `folder` is where to look for the user's own files (the current folder). Raises Unclear
    with one line for each fault.
    """
    environ = os.environ if environ is None else environ
    folder = Path.cwd() if folder is None else folder
    faults: list[str] = []
    given = config or environ.get("BULLPEN_CONFIG")
    file = _file(given, folder)
    settings = _settings(file, data, repo, environ, faults)
    folders = _folders(file.parent if given else PACKAGED, folder)
    agents, workflows = load_agents(folders, faults), load_workflows(folders, faults)
    prompts = load_prompts(folders, faults)
    prices = load_prices(folders, faults)
    repos = _repositories(settings, faults)
    if settings is not None:
        faults += _crossed(settings, workflows, file)
    if faults or settings is None:
        raise Unclear("\n".join(dict.fromkeys(faults)))
    places = _places(file, folders, environ)
    return Configuration(settings, agents, workflows, repos, prompts, prices, file, places)


def _file(given: str | None, folder: Path) -> Path:
    if given:
        return Path(given).expanduser()
    own = (folder / "bullpen.toml", folder / "config" / "bullpen.toml")
    return next((path for path in own if path.is_file()), PACKAGED / "bullpen.toml")


def _folders(beside: Path, folder: Path) -> list[Path]:
    """Where crew, workflows and prompts lie, the strongest last."""
    folders = [PACKAGED, folder / "config", beside]
    return list(dict.fromkeys(path.resolve() for path in folders if path.is_dir()))


def _places(file: Path, folders: list[Path], environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Of what came with Bullpen the files alone, which somebody may have written in: its folder
    holds the program too."""
    secrets = environ.get("BULLPEN_SECRETS_DIR")
    own = {*folders, file.parent, *([Path(secrets).expanduser()] if secrets else [])}
    found = {file, *(folder / "agents.toml" for folder in folders), *own}
    packaged = PACKAGED.resolve()
    return tuple(sorted(path.absolute() for path in found if path.resolve() != packaged))


def _settings(
    file: Path,
    data: str | None,
    repo: str | None,
    environ: Mapping[str, str],
    faults: list[str],
) -> Settings | None:
    layers = Layers()
    layers.lay((), read_toml(file, faults), file.name)
    lay_environment(layers, environ)
    if data:
        layers.lay(("data_dir",), data, "--data")
    for secrets in _secret_folders(layers, environ):
        lay_secrets(layers, secrets, faults)
    # Once more: the environment is stronger than the secrets folder, which it may name.
    lay_environment(layers, environ)
    _command_line(layers, data, repo)
    try:
        return Settings.model_validate(layers.values)
    except ValidationError as error:
        faults += explain(error, layers)
        return None


def _secret_folders(layers: Layers, environ: Mapping[str, str]) -> list[Path]:
    own = Path(str(layers.get(("data_dir",), "data"))).expanduser() / "secrets"
    given = environ.get("BULLPEN_SECRETS_DIR")
    return [Path("/run/secrets"), own, *([Path(given)] if given else [])]


def _command_line(layers: Layers, data: str | None, repo: str | None) -> None:
    if data:
        layers.lay(("data_dir",), data, "--data")
    if repo:
        _only(layers, repo)


def _only(layers: Layers, repo: str) -> None:
    """That repository alone, by source or name; what is configured of it (its check) stays."""
    given = layers.get(("repos",), {})
    tables = {name: table for name, table in given.items() if isinstance(table, dict)}
    name = next((one for one, table in tables.items() if _is(table, repo)), None)
    if name is None and repo in tables and not Path(repo).exists():
        name, repo = repo, tables[repo].get("source", repo)
    name = name or repo_name(repo)
    kept = tables.get(name, {})
    if "source" in kept and not _is(kept, repo):
        kept = {}
    said = {path: who for path, who in layers.origins.items() if path[:2] == ("repos", name)}
    layers.forget(("repos",))
    layers.lay(("repos", name), {**kept, "source": repo}, "--repo")
    if kept:
        layers.origins.update(said)


def _is(table: dict[str, Any], repo: str) -> bool:
    source = table.get("source")
    return isinstance(source, str) and absolute(source) == absolute(repo)


def repo_name(source: str) -> str:
    """What a repository is called that has only a path or URL: its last part."""
    last = str(Path(source).expanduser().absolute()) if "://" not in source else source
    name = re.split(r"[/:]", last.rstrip("/"))[-1].removesuffix(".git")
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "repo"


def _repositories(settings: Settings | None, faults: list[str]) -> tuple[Repo, ...]:
    try:
        return settings.repositories() if settings is not None else ()
    except OSError as error:
        faults.append(f"repos.root: {error.filename}: {(error.strerror or '').lower()}")
        return ()


def _crossed(settings: Settings, workflows: tuple[Workflow, ...], file: Path) -> list[str]:
    """Names that one part of the configuration says and another must know."""
    faults = [
        f"{file.name}: notify.{number}.channel: no channel `{rule.channel}`; there are "
        + ", ".join(sorted(settings.channels))
        for number, rule in enumerate(settings.notify)
        if rule.channel not in settings.channels
    ]
    names = {workflow.name for workflow in workflows}
    if settings.default_workflow not in names:
        faults.append(
            f"{file.name}: default_workflow: no workflow `{settings.default_workflow}`; "
            "there are " + ", ".join(sorted(names))
        )
    return faults
