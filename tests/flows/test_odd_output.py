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


def _big(kind: str) -> dict[str, object]:
    """A line of JSON that is longer than a record may be: a picture that was read, or a file that
    is to be written."""
    data = "aGVsbG8gd29ybGQ" * 100_000
    if kind == "asked":
        given = {"file_path": "big.txt", "content": data}
        return {"type": "control_request", "request_id": "big-1", "request": {
            "subtype": "can_use_tool", "tool_name": "Write", "input": given}}
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [block]}
    return {"type": "user", "message": {"role": "user", "content": [result]}}


async def test_a_line_of_more_than_a_megabyte_is_read_as_the_one_that_it_is(bench: Bench) -> None:
    """And not shown as pieces of JSON, nor passed over where it asks for leave."""
    bench.install_claude()
    script = bench.folder / "play.json"
    script.write_text(json.dumps([{"emit": _big("told")}, {"say": "I saw it."},
                                  {"emit": _big("asked")}, {"sleep": 3600}]))
    bench.configure(f'[agents.claude]\ndriver = "claude"\n[agents.claude.environment]\n'
                    f'FAKE_CLAUDE_SCRIPT = "{script}"\n', "config/agents.toml")
    async with bench.running() as live:
        await live.say('/add "Look"', "G-1", "claude wants to use a tool")
        said = bench.log_rows("SELECT kind, text FROM lines ORDER BY seq")
        assert [text for kind, text in said if kind == "tool_result"] == ["[image]"]
        assert not [text for kind, text in said if kind == "text" and "aGVsbG8" in text]
        await live.told("/reject G-1")
        heard = await live.say("/logs 1", "[image]", "I saw it.", "[the rest is left out]")
        assert len(heard) < 20_000
        await live.say("/kill 1", "TASK-001 killed")
