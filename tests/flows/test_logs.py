"""What agents do is logged, shown, and followed as it comes: on the terminal and in a chat."""

from __future__ import annotations

import json
import re

from tests.fakes.telegram_server import TelegramServer
from tests.flows.bench import Bench
from tests.flows.telegram_bench import bot, button, shown

TOKEN = "hunter2-zebra-quagga-mongoose-walrus-77"


def steps(bench: Bench, name: str = "steps") -> str:
    """A command that says `one`, and each further word once the file of that name is there."""
    on_host(bench)
    script = bench.folder / f"{name}.sh"
    script.write_text(
        "echo one\nfor word in two three; do\n"
        f"  while [ ! -e {bench.folder}/$word ]; do sleep 0.05; done\n  echo $word\ndone\n"
        "printf 'a\\nb\\n' > made.txt\n")
    return f"sh {script}"


def on_host(bench: Bench, more: str = "") -> None:
    """The plain agent where it sees the files of the test."""
    bench.configure(f'[agents.shell]\ndriver = "command"\nsandbox = "host"\n{more}',
                    "config/agents.toml")


def crew(bench: Bench, acts: list[dict[str, object]]) -> None:
    bench.install_claude()
    (bench.folder / "play.json").write_text(json.dumps(acts))
    bench.configure(
        '[agents.claude]\ndriver = "claude"\nsandbox = "host"\n[agents.claude.environment]\n'
        f'FAKE_CLAUDE_SCRIPT = "{bench.folder / "play.json"}"\nDEPLOY_TOKEN = "{TOKEN}"\n',
        "config/agents.toml")


async def test_lines_follow_on_the_terminal_until_the_end(bench: Bench) -> None:
    work = steps(bench)
    async with bench.running() as live:
        await live.say(f'/add "Count" --run "{work}"', "TASK-001")
        await live.told("is on it")
        await live.say("/logs 1 --follow", "log of shell-", "What comes follows here")
        (bench.folder / "two").touch()
        await live.told("TASK-001 │ two")
        await live.say("/logs 1 --stop", "TASK-001 is not followed here any more")
        await live.say("/logs 1 --follow -n 1", "two")
        (bench.folder / "three").touch()
        await live.told("TASK-001 │ three")
        await live.told("TASK-001 │ 📝 made.txt (+2 lines)")
        await live.told("TASK-001 is ready for you")
        await live.say("/approve 1", "TASK-001 │ (it has ended)")
    assert live.screen.count("│ two") == 1 and live.screen.count("│ three") == 1


async def test_a_run_until_idle_shows_what_came_before_it_ends(bench: Bench) -> None:
    for word in ("two", "three"):
        (bench.folder / word).touch()
    ran = bench.up(f'/add "Count" --run "{steps(bench)}"', "/logs 1 --follow")
    ran.said("log of shell-", "one", "three", "📝 made.txt (+2 lines)")


async def test_in_a_chat_the_live_message_shows_them(
    bench: Bench, telegram: TelegramServer
) -> None:
    work = steps(bench)
    async with bot(bench, telegram):
        await telegram.says(f'/add "Count" --run "{work}"')
        live = await shown(telegram, "shell is on it")
        await telegram.says("/logs 1")
        await button(telegram, "Follow")
        await telegram.press("Follow")
        await telegram.until(lambda: "<pre>" in live.html and "one" in live.text, "the tail",
                             within=60)
        assert "Unfollow" in live.labels
        (bench.folder / "two").touch()
        await telegram.until(lambda: "one\ntwo" in live.text, "the next line", within=60)
        await telegram.press("Unfollow", message=live.id)
        await telegram.until(lambda: "<pre>" not in live.html, "the plain message", within=60)
        (bench.folder / "three").touch()
        await button(telegram, "Approve & merge")
        await telegram.until(lambda: "ready for you" in live.text, "the end", within=60)
    lives = [m for m in telegram.from_bot() if any("is on it" in t for t in (m.text, *m.versions))]
    assert len(lives) == 1, "one message, edited in place"


def test_all_that_an_agent_does_is_in_the_log(bench: Bench) -> None:
    crew(bench, [{"say": "I look around."}, {"write": "src/a.py", "content": "x = 1\ny = 2\n"},
                 {"permission": "true"}, {"say": "It is done."}])
    ran = bench.up('/add "Mend it"', "/approve G-1", "/logs 1")
    ran.said("log of claude-", "I look around.", "📝 src/a.py (+2 lines)", "It is done.")
    session = bench.value("SELECT id FROM sessions")
    kinds = {row[0] for row in bench.log_rows("SELECT DISTINCT kind FROM lines")}
    assert {"started", "text", "tool_call", "file_change", "finished"} <= kinds
    (call,) = bench.log_rows(
        "SELECT data FROM lines WHERE kind = 'tool_call' AND text LIKE '%a.py%'")
    assert json.loads(call[0])["input"]["content"] == "x = 1\ny = 2\n"
    changed = bench.log_rows("SELECT text, data FROM lines WHERE kind = 'file_change'")
    assert [row[0] for row in changed] == ["src/a.py (+2 lines)"], "told once, by the agent itself"
    assert json.loads(changed[0][1])["path"] == "src/a.py"
    bench.up(f"/logs {session} -n 1").said(f"log of {session}")


def test_what_a_tool_was_called_with_is_shown_without_secrets(bench: Bench) -> None:
    padding = "x" * 130
    crew(bench, [{"write": "src/a.py", "content": f"key = 1\n{padding} {TOKEN} <b>\n"},
                 {"say": "It is done."}])
    ran = bench.up('/add "Mend it"', "/logs 1")
    (line,) = [line for line in ran.out.splitlines() if "Write: " in line]
    assert f"src/a.py · content: key = 1 {padding}" in line and line.endswith("…"), line
    session = bench.value("SELECT id FROM sessions")
    (page,) = [path.read_text() for path in (bench.data / "site").rglob("*.html")
               if session in path.name]
    assert f"<pre>· content: key = 1\n{padding} [redacted] &lt;b&gt;" in page
    assert "hunter2" not in ran.out + page


async def test_followed_it_is_shown_as_well(bench: Bench) -> None:
    crew(bench, [{"permission": "true"}, {"write": "a.txt", "content": f"{TOKEN} then"},
                 {"say": "Good."}])
    async with bench.running() as live:
        await live.say('/add "Mend it"', "G-1")
        await live.say("/logs 1 --follow", "Bash: true · description: a command")
        await live.say("/approve G-1", "a.txt · content: [redacted] then",
                       "TASK-001 is ready for you")


def test_a_result_that_was_just_said_is_not_shown_again(bench: Bench) -> None:
    crew(bench, [{"say": "I look around."}, {"write": "a.txt", "content": "a"}, {"use": 500},
                 {"say": "It is done."}])
    ran = bench.up('/add "Mend it"', "/logs 1", "/logs 1 -n 2")
    (_, whole), (_, end) = (part.partition("log of claude-")[::2]
                            for part in re.split(r"\nTASK-001 · (?=log of)", ran.out)[1:])
    assert whole.count("It is done.") == 1 == end.count("It is done."), ran
    assert "I look around." in whole
    shown = re.search(r"\n\n(.*?)\n\n", whole + "\n\n", re.DOTALL)
    assert shown and shown[1].splitlines()[-1].strip() == "It is done.", whole
    assert len(re.findall(r"(?m)^    \S", end)) == 2, "figures without words are no lines"
    kinds = [row[0] for row in bench.log_rows("SELECT kind FROM lines WHERE text = 'It is done.'")]
    assert kinds == ["text", "finished"], "in the log both stand"


async def test_followed_it_is_not_shown_again_either(bench: Bench) -> None:
    crew(bench, [{"permission": "true"}, {"write": "a.txt", "content": "a"}, {"say": "All good."}])
    async with bench.running() as live:
        await live.say('/add "Mend it"', "G-1")
        await live.say("/logs 1 --follow", "What comes follows here")
        await live.say("/approve G-1", "TASK-001 is ready for you")
    kinds = [row[0] for row in bench.log_rows("SELECT kind FROM lines WHERE text = 'All good.'")]
    assert kinds == ["text", "finished"]
    assert live.screen.count("TASK-001 │ All good.") == 1


def test_a_command_that_changes_files_tells_which(bench: Bench) -> None:
    bench.commit({"old.txt": "1\n2\n3\n"})
    work = "printf '1\\n2\\nthree\\nfour\\n' > old.txt; rm README.md; printf 'n' > new.txt"
    on_host(bench)
    (bench.folder / "work.sh").write_text(work)
    ran = bench.up(f'/add "Change" --run "sh {bench.folder / "work.sh"}"', "/logs 1")
    ran.said("📝 README.md (−1 line)", "📝 new.txt (+1 line)", "📝 old.txt (+2 −1)")


def test_where_the_log_is_cut_it_is_said(bench: Bench) -> None:
    ran = bench.up('/add "Flood" --run "seq 1 40000"', "/logs 1 -n 5",
                   BULLPEN_LIMITS__LOG_CAP_BYTES="65536")
    ran.said("── Bullpen: log cap reached", "40000")
    session = bench.value("SELECT id FROM sessions")
    pages = [path for path in (bench.data / "site").rglob("*.html")
             if session in path.name and "log cap reached" in path.read_text()]
    assert pages, "the session's page shows it too"


def test_a_secret_over_two_lines_is_seen_in_neither(bench: Bench) -> None:
    first, second = "first-half-of-a-secret-zebra", "second-half-of-it-quagga"
    script = bench.folder / "prints.py"
    script.write_text(f"import time\nprint('begin', flush=True)\nprint({first!r}, flush=True)\n"
                      f"time.sleep(0.5)\nprint({second!r}, flush=True)\nprint('end', flush=True)\n")
    on_host(bench, f'[agents.shell.environment]\nDEPLOY_TOKEN = "{first}\\n{second}"\n')
    ran = bench.up(f'/add "Print" --run "python3 {script}"', "/logs 1", "/logs 1 -n 2",
                   "/logs 1 --follow", "/task 1")
    ran.said("begin", "[redacted]", "end")
    assert "zebra" not in ran.out and "quagga" not in ran.out


def test_a_mistake_gets_one_line(bench: Bench) -> None:
    ran = bench.up("/logs", "/logs nobody-1234", "/logs 7", "/logs 1 --loud",
                   '/add "Later" --draft', "/logs 1", "/logs 1 --stop")
    ran.said("Whose? For instance /logs 42", "`nobody-1234` is no task and no session",
             "No task 7", "has no option --loud", "TASK-001 has no log yet")
