"""A bot with nothing to do does next to nothing."""

from __future__ import annotations

from tests.flows.bench import Bench
from tests.idle_bench import measure

LEFT = (
    '/add "Add a greeting" --run "sh -c \'echo hello > greeting.txt\'"',
    "/approve 1",
    '/add "Add a farewell" --run "sh -c \'echo bye > farewell.txt\'"',
    '/add "Later" --draft',
    '/add "After it" --after 2 --run "true"',
    '/add "Nobody can" --agent shell --skill welding --run "true"',
)


async def test_an_idle_tick_costs_next_to_nothing(bench: Bench) -> None:
    bench.up(*LEFT)
    assert bench.states()[2] == "review"
    for cost in await measure(bench.data, bench.repo):
        assert cost.files == {"site/heartbeat.js"}
        assert cost.connections == 0
        assert 0 < cost.statements < 10, cost
