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
    sys.stdout.write("\\x1b[2F" if number else "")  # over the frame before
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
    typed = [line for line in log() if " typed: " in line]
    assert [line.split(" typed: ")[1] for line in typed] == ["<esc> <down>", "<ctrl-c>"]
    assert sum("Thinking" in line for line in log()) == 1
    assert not any("\u2500" * 5 in line for line in log())


async def test_what_is_typed_stands_in_its_log_and_is_not_quoted_as_its_own_words(
        bench: Bench) -> None:
    bench.configure('[agents.sh]\ndriver = "command"\noptions = { command = "sh -i" }\n'
                    'environment = { DEPLOY_TOKEN = "hunter2-zebra" }\n'
                    '[agents.claude]\ndriver = "claude"\nenabled = false\n'
                    '[agents.shell]\ndriver = "command"\nenabled = false\n',
                    "config/agents.toml")

    def marks() -> list[str]:
        return [row[0] for row in bench.log_rows(
            "SELECT text FROM lines WHERE stream = 'mark' ORDER BY seq")]

    async with bench.running() as live:
        await live.say("/spawn any --interactive --agent sh", "sh is on it")
        await live.until(lambda: bench.rows("SELECT 1 FROM sessions WHERE state = 'running'"),
                         "it runs")
        await live.say("/say 1 echo hunter2-zebra $((40+2))", "Told sh")
        await live.until(lambda: any("typed" in mark for mark in marks()), "it is in the log")
        await live.say("/logs 1", "typed: echo [redacted] $((40+2)) ──")
        await live.say("/say 1 exit", "TASK-001 done")
    assert [mark.split(" typed: ")[1] for mark in marks() if " typed: " in mark] == [
        "echo [redacted] $((40+2))", "exit"]
    (told,) = bench.rows("SELECT summary FROM iterations")
    assert "echo [redacted]" in told["summary"] and "typed" not in told["summary"]
