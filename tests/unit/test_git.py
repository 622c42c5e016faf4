"""The runner: a clean environment, failures in one line, nothing left behind."""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing
from pathlib import Path

import pytest

from core.errors import Broken
from core.git import GitFailed, git, stream


async def test_it_answers_without_the_last_newline() -> None:
    assert (await git("version")).startswith("git version 2.")


async def test_a_failure_is_gits_own_last_word() -> None:
    with pytest.raises(GitFailed) as failed:
        await git("rev-parse", "HEAD", cwd=Path("/"))
    assert str(failed.value).startswith("git rev-parse failed: not a git repository")
    assert failed.value.status == 128


async def test_nothing_of_ours_is_in_its_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".gitconfig").write_text("[user]\n\tname = Somebody\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    seen = await git("-c", "alias.seen=!env", "seen")
    assert "hunter2" not in seen
    assert "HOME=/nonexistent" in seen.splitlines()
    with pytest.raises(GitFailed):
        await git("config", "user.name")


async def test_input_reaches_it() -> None:
    assert await git("hash-object", "--stdin", input=b"hello\n") == (
        "ce013625030ba8dba906f756967f9e9ca394464a"
    )


async def test_input_that_git_does_not_read_is_no_error() -> None:
    assert (await git("version", input=b"x" * (1 << 20))).startswith("git version")


async def test_too_slow_is_stopped_with_all_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    with pytest.raises(Broken, match=r"took longer than 0\.5 s: stopped"):
        await git("-c", f"alias.slow=!sleep 600 & echo $! > {mark}; wait", "slow", timeout=0.5)
    await _gone(int(mark.read_text()))


async def test_a_stream_left_early_ends_git(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    chunks = stream("-c", f"alias.flood=!echo $$ > {mark}; exec yes", "flood")
    async with aclosing(chunks):
        async for chunk in chunks:
            assert chunk.startswith(b"y\n")
            break
    await _gone(int(mark.read_text()))


async def test_a_cancelled_call_ends_git(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    command = f"alias.slow=!echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 600"
    call = asyncio.create_task(git("-c", command, "slow"))
    async with asyncio.timeout(60):
        while not mark.exists():
            await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await _gone(int(mark.read_text()))


@pytest.mark.parametrize("turns", range(12))
async def test_a_call_cancelled_while_it_starts_ends_git_too(tmp_path: Path, turns: int) -> None:
    """Cancelled after so many turns of the loop: before, during or after the start."""
    mark = tmp_path / "pid"
    command = f"alias.slow=!sleep 600 & echo $! > {mark}; wait"
    call = asyncio.create_task(git("-c", command, "slow"))
    for _ in range(turns):
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    if mark.exists() and mark.read_text().strip():
        await _gone(int(mark.read_text()))


async def test_output_without_end_is_given_up() -> None:
    with pytest.raises(Broken, match="said more than 64 MiB"):
        await git("-c", "alias.flood=!yes", "flood")


async def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(Broken, match=f"The folder {tmp_path}/none is gone"):
        await git("version", cwd=tmp_path / "none")


async def _gone(pid: int) -> None:
    """Wait until that process has ended: dead, or dead and not yet reaped by its parent."""
    async with asyncio.timeout(60):
        while _lives(pid):
            await asyncio.sleep(0.01)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
