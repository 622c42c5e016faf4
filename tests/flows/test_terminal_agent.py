"""An agent that draws at a terminal: its log is read by people, and keys are sent to it."""

from __future__ import annotations

import sys

from tests.flows.bench import Bench

DRAWS = '''
import sys, termios, tty
tty.setraw(0)
def show(*lines):
    sys.stdout.write("".join(line + "\\r\\n" for line in lines)); sys.stdout.flush()
for number in range(40):
    show(chr(0x2736 + number % 4) + f" Thinking\\u2026 ({number}s)", "\\u2500" * 40)
show("I\\x1b[1Cread\\x1b[1Cthe\\x1b[1Crules.")
got = b""
while not got.endswith(b"\\x03"):
    got += sys.stdin.buffer.raw.read(64)
show("heard " + got.hex())
'''


async def test_a_screen_is_read_once_and_takes_keys(bench: Bench) -> None:
    program = bench.shown / "draws"
    program.write_text(f"#!{sys.executable}\n{DRAWS}")
    program.chmod(0o755)
    bench.configure(f'[agents.claude]\ndriver = "claude"\n[agents.claude.options]\n'
                    f'program = "{program}"\n', "config/agents.toml")

    def log() -> list[str]:
        return [row[0] for row in bench.log_rows("SELECT text FROM lines ORDER BY seq")]

    async with bench.running() as live:
        await live.say("/spawn talk --interactive --agent claude", "claude is on it")
        await live.until(lambda: "I read the rules." in log(), "its words, with spaces")
        await live.say("/say 1 <warp>", "No key <warp>.")
        await live.say("/say 1 <esc> <down>", "Told claude")
        await live.say("/say 1 <ctrl-c>", "TASK-001 done")
    assert "heard 1b1b5b4203" in log()
    assert sum("Thinking" in line for line in log()) == 1
    assert not any("\u2500" * 5 in line for line in log())
