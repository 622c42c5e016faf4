"""What can be loaded anew while Bullpen runs, and what reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from core.audience import Rule
from core.model import Agent, Repo, Role, Workflow
from core.policy import Policy
from core.prices import Price
from core.prompts import Prompts


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything that can be loaded anew; replaced whole, so that nobody sees half of it."""

    policy: Policy
    agents: Mapping[str, Agent]
    workflows: Mapping[str, Workflow]
    repos: Mapping[str, Repo]
    prompts: Prompts
    channels: Mapping[str, tuple[tuple[str, str], ...]]
    people: Mapping[str, Mapping[str, Role]]
    prices: Mapping[str, Price] = field(default_factory=dict)
    rules: Sequence[Rule] = ()


class Configured(Protocol):
    """The configuration files as they were read once, with the rules that they keep."""

    @property
    def setup(self) -> Setup:
        """What they say."""

    @property
    def parts(self) -> Mapping[str, Mapping[str, object]]:
        """Part (`Agents`) → name → what it says, to see what is another than before."""

    @property
    def fixed(self) -> Mapping[str, object]:
        """Key → value, of what only a restart changes."""

    @property
    def settings(self) -> Mapping[str, object]:
        """Key → value, of what can be changed by hand too (`queue.max_concurrent` → 2)."""

    def checked(self, key: str, value: object) -> object:
        """The value as the files' own rules take it. Raises Unclear."""

    def policy(self, changes: Mapping[str, object]) -> Policy:
        """The numbers with these settings changed. Raises Unclear, a line for each fault."""

    def agent(self, name: str, changes: Mapping[str, Any], created_by: str) -> Agent:
        """The agent of that name with these fields changed, in the words of `agents.toml`; one
        of its own where no file knows it. Raises Unclear, a line for each fault."""

    def private(self, setup: Setup) -> Sequence[Path]:
        """What of this machine's no agent may see unless it is given to it."""

    async def again(self) -> Configured:
        """Read all files anew. Raises Unclear, a line for each fault, and changes nothing."""
