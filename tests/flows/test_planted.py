"""What an agent plants in its home is never written through by Bullpen, and holds nothing up."""

from __future__ import annotations

import pytest

from tests.flows.bench import Bench

AGENT = r"""#!/usr/bin/python3
import json, os, subprocess
print(json.dumps({"type": "thread.started", "thread_id": "t1"}), flush=True)
inner = os.environ["HOME"] + "/.codex"
victim = os.environ["VICTIM"]
HOW
open(f"note-{os.getpid()}.txt", "w").write("done")
subprocess.run("git add --all && git commit --quiet -m work", shell=True, check=True)
done = {"id": "i", "type": "agent_message", "text": "done"}
print(json.dumps({"type": "item.completed", "item": done}), flush=True)
usage = {"input_tokens": 1, "cached_input_tokens": 0, "output_tokens": 1}
print(json.dumps({"type": "turn.completed", "usage": usage}), flush=True)
"""
EACH = "for name in ('AGENTS.md', 'AGENTS.tmp', '.AGENTS.md.tmp'):\n    "
GONE = "subprocess.run(['rm', '-rf', f'{inner}/{name}']); "


def crew(bench: Bench, how: str) -> None:
    program = bench.folder / "bin" / "codex"
    program.write_text(AGENT.replace("HOW", how))
    program.chmod(0o755)
    victim = bench.folder / "victim"
    victim.mkdir()
    (victim / "AGENTS.md").write_text("precious\n")
    bench.configure('[agents.one]\ndriver = "codex"\nsandbox = "host"\n'
                    f'environment = {{ VICTIM = "{victim}" }}\n', "config/agents.toml")


def untouched(bench: Bench) -> None:
    victim = bench.folder / "victim"
    assert [path.name for path in victim.iterdir()] == ["AGENTS.md"]
    assert (victim / "AGENTS.md").read_text() == "precious\n"


@pytest.mark.parametrize("how", [
    f"{EACH}{GONE}os.symlink(victim + '/AGENTS.md', f'{{inner}}/{{name}}')",
    f"{EACH}{GONE}os.mkfifo(f'{{inner}}/{{name}}')"], ids=["links", "pipes"])
def test_the_next_attempt_writes_past_what_is_planted(bench: Bench, how: str) -> None:
    crew(bench, how)
    ran = bench.up('/add "Do it"', "/reject G-1 do more")
    assert bench.value("SELECT state FROM gates WHERE id = 2") == "open", str(ran)
    untouched(bench)


@pytest.mark.parametrize("how", [
    "subprocess.run(['rm', '-rf', inner]); os.symlink(victim, inner)",
    "subprocess.run(['rm', '-rf', inner]); os.mkfifo(inner)",
    f"{EACH}{GONE}os.mkdir(f'{{inner}}/{{name}}')"],
    ids=["a link", "a pipe", "a folder"])
def test_a_folder_that_can_not_be_written_in_is_told(bench: Bench, how: str) -> None:
    crew(bench, how)
    ran = bench.up('/add "Do it"', "/reject G-1 do more", status=1)
    ran.said(".codex", "can't be written")
    untouched(bench)
