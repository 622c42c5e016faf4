"""A session whose conversation is gone: told everything again, it goes on in its worktree."""

from __future__ import annotations

import json
import shutil
import stat

from tests.agent_bench import FAKE_CLAUDE
from tests.fakes.telegram_server import TelegramServer
from tests.flows.bench import Bench
from tests.flows.telegram_bench import bot, button, shown

FRESH = """#!/bin/sh
for word in "$@"; do
  if [ "$word" = --resume ]; then
    echo '{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":0,"errors":["No conversation found with session ID: x"]}'
    exit 1
  fi
done
echo '{"type":"system","subtype":"init","session_id":"a-conversation","model":"scripted"}'
echo '{"type":"result","subtype":"error_during_execution","is_error":true,"num_turns":0,"errors":["No conversation found with session ID: x"]}'
exit 1
"""  # noqa: E501


def lose(bench: Bench) -> None:
    """Somebody has cleared out the agent's home."""
    (folder,) = (bench.data / "sessions").glob("*/home/.fake-claude")
    shutil.rmtree(folder)


def conversation(bench: Bench) -> list[str]:
    """What the agent remembers of what it was told."""
    (memory,) = (bench.data / "sessions").glob("*/home/.fake-claude/*.json")
    return list(json.loads(memory.read_text()))


def test_it_goes_on_afresh_in_the_same_worktree_and_says_so(bench: Bench) -> None:
    bench.install_claude()
    bench.up('/add "Write a note"')
    first = bench.value("SELECT driver_session FROM sessions")
    lose(bench)
    ran = bench.up("/reject 1 name the author", "/logs 1", "/approve 1")
    ran.said("sent back to claude", "⚠️ TASK-001 · claude's conversation is lost: it is told "
             "everything again, and goes on", "TASK-001 is ready for you", "done · merged")
    assert ran.out.count("conversation is lost") == 1, ran
    said = [row["text"] for row in bench.rows("SELECT text FROM events "
                                                 "WHERE type = 'session.suspended'")]
    assert said == ["TASK-001 · claude's conversation is lost: it is told everything again, "
                    "and goes on"]
    (told,) = conversation(bench)
    assert "Write a note" in told and "name the author" in told
    assert "Your answer then" in told and "conversation so far is lost" in told
    assert bench.value("SELECT count(*) FROM sessions") == 1
    assert bench.value("SELECT driver_session FROM sessions") != first
    resumed = [row["resumes"] for row in bench.rows("SELECT resumes FROM attempts")]
    assert resumed == [None, first, None]
    assert bench.value("SELECT attempts FROM tasks") == 0, "it is no retry"
    assert "No conversation found" in str(bench.log_rows("SELECT group_concat(text) FROM lines"))


async def test_a_chat_is_told_below_what_it_asked_for(
    bench: Bench, telegram: TelegramServer
) -> None:
    bench.install_claude()
    async with bot(bench, telegram):
        await telegram.says('/add "Write a note"')
        asked = await shown(telegram, "Write a note")
        await button(telegram, "Approve & merge")
        lose(bench)
        await telegram.says("/reject 1 name the author")
        told = await shown(telegram, "claude's conversation is lost: it is told everything again")
    assert told.reply_to == asked.reply_to and told.reply_to, "in the task's thread"


async def test_one_that_is_paused_just_then_says_so_too(bench: Bench) -> None:
    bench.install_claude()
    bench.up('/add "Write a note"')
    lose(bench)
    program = bench.folder / "bin" / "claude"
    program.unlink()
    program.write_text(FRESH.partition("done\n")[0].replace("exit 1", "exec sleep 600")
                       + f'done\nexec {FAKE_CLAUDE} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    async with bench.running(BULLPEN_LIMITS__GRACE_SECONDS="3600") as live:
        await live.say("/reject 1 name the author", "sent back to claude")
        await live.until(lambda: bench.log_rows(
            "SELECT 1 FROM lines WHERE kind = 'finished' AND attempt = 2"), "its refusal")
        await live.say("/pause 1", "TASK-001 is paused", "claude's conversation is lost: ")
        await live.say("/resume 1", "TASK-001 is ready for you")
        assert live.screen.count("conversation is lost") == 1, live.screen
    told = conversation(bench)[-1]
    assert "Write a note" in told and "name the author" in told


def test_what_says_so_of_a_conversation_of_its_own_begins_no_other(bench: Bench) -> None:
    program = bench.folder / "bin" / "claude"
    program.write_text(FRESH)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    ran = bench.up('/add "Write a note"', status=1)
    ran.said("TASK-001", "No conversation found")
    retries = bench.value("SELECT attempts FROM tasks")
    assert bench.value("SELECT count(*) FROM sessions") == 1 + retries
    assert bench.value("SELECT count(*) FROM attempts") == 1 + retries
