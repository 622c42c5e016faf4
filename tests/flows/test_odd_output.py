"""Whatever an agent prints, its session comes to its end."""

from __future__ import annotations

import json

import pytest

from tests.flows.bench import Bench

_LIMIT = '{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1e308}}'
_USAGE = ('{"type":"result","subtype":"success","is_error":false,"result":"Huge.",'
          '"modelUsage":{"m":{"inputTokens":1e300,"outputTokens":5}},"total_cost_usd":1e308}')
_DEEP = '{"type":' * 2000


@pytest.mark.parametrize("line", [_LIMIT, _USAGE, _DEEP], ids=["limit", "usage", "deep"])
def test_a_number_too_large_holds_nothing_up(bench: Bench, line: str) -> None:
    bench.install_claude()
    script = bench.folder / "play.json"
    script.write_text(json.dumps([{"raw": line}, {"say": "Still here."}]))
    bench.configure(f'[agents.claude]\ndriver = "claude"\n[agents.claude.environment]\n'
                    f'FAKE_CLAUDE_SCRIPT = "{script}"\n', "config/agents.toml")
    ran = bench.up('/add "Go on"')
    ran.said("TASK-001")
    assert bench.states() == {1: "review"}
    assert bench.value("SELECT state FROM sessions") in ("suspended", "terminated")


def test_a_number_that_looks_like_one_is_refused(bench: Bench) -> None:
    ran = bench.up("/list -n ²", "/list -n ١", f"/list -n {'9' * 5000}", "/status")
    assert ran.out.count("takes a number from 1 to 1000") == 3
    ran.said("0 working")
