"""The numbers by which the flow decides, from the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Policy:
    """Retries by outcome; times in seconds, sizes in bytes.

    `day_tokens` and `day_usd` are the whole crew's budget for a calendar day of `timezone`;
    `warn_at` is the share of a budget at which its gate opens. `limit_pause`: how long an
    account rests whose provider names no time. `interrupt`: how long an agent has after it was
    asked by its own means to stop; `lost_after`: how long one that can't be reached counts as
    running.
    """

    max_concurrent: int = 1
    paused: bool = False
    stop_on_failure: bool = True
    retries: Mapping[str, int] = field(default_factory=lambda: {"lost": 1})
    retry_base: float = 30.0
    send_backs: int = 3
    log_cap: int = 64 << 20
    output_limit: int = 1 << 30
    wall_time: float | None = None
    grace: float = 10.0
    interrupt: float = 5.0
    lost_after: float = 900.0
    check_time: float = 900.0
    poll: float = 0.1
    default_workflow: str = "quick"
    day_tokens: int | None = None
    day_usd: float | None = None
    warn_at: float = 0.8
    limit_pause: float = 1800.0
    timezone: str = "UTC"
