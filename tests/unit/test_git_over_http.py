"""Real git clones from and pushes to an attempt's exchange, and reaches nothing else."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from core.git import serving
from core.ports import Sandbox
from core.sandboxes.kubernetes import KubernetesSandbox
from tests.api_bench import Api, Speaker, short_folder
from tests.api_bench import serving as served

BRANCH = "bullpen/TASK-001"
ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null",
       "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LANG": "C.UTF-8",
       "GIT_AUTHOR_NAME": "Una", "GIT_AUTHOR_EMAIL": "una@localhost",
       "GIT_COMMITTER_NAME": "Una", "GIT_COMMITTER_EMAIL": "una@localhost"}


def local(*words: str, cwd: Path) -> str:
    return subprocess.run(["git", *words], cwd=cwd, env=ENV, capture_output=True, text=True,
                          check=True).stdout.strip()


class Place:
    """A place that shares no folder: what its git says to the attempt's exchange."""

    def __init__(self, agent: Speaker, folder: Path) -> None:
        self.agent, self.folder = agent, folder
        self.exchange = agent.api.home.attempt_folder(agent.session.id, 1) / "exchange.git"
        self.work = folder / "work"
        seed = folder / "seed"
        seed.mkdir(parents=True)
        local("init", "-q", "-b", "main", cwd=seed)
        (seed / "README.md").write_text("# Shop\n")
        local("add", ".", cwd=seed)
        local("commit", "-qm", "one", cwd=seed)
        local("branch", BRANCH, cwd=seed)
        local("update-ref", "refs/hidden/secret", "HEAD", cwd=seed)
        self.exchange.parent.mkdir(parents=True)
        local("clone", "-q", "--mirror", str(seed), str(self.exchange), cwd=folder)

    async def be(self, sandbox: str) -> None:
        home = self.agent.api.home
        cast(dict[str, Sandbox], home.sandboxes)["far"] = KubernetesSandbox(lambda: None)
        await home.store.write(lambda tx: tx.run("UPDATE sessions SET sandbox = ?", (sandbox,)))

    @property
    def url(self) -> str:
        return f"{self.agent.api.url}/git/{self.agent.session.id}.git"

    async def git(self, *words: str, cwd: Path | None = None, token: str | None = None,
                  basic: bool = False) -> tuple[int, str]:
        token = token or self.agent.token
        options = [] if basic else ["-c", f"http.extraHeader=Authorization: Bearer {token}"]
        process = await asyncio.create_subprocess_exec(
            "git", *options, *words, cwd=cwd or self.folder, env=ENV,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        said, _ = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, said.decode()

    async def clone(self) -> None:
        status, said = await self.git("clone", "-q", "-b", BRANCH, self.url, str(self.work))
        assert status == 0, said

    def commit(self, text: str = "hello\n") -> str:
        (self.work / "greeting.txt").write_text(text)
        local("add", ".", cwd=self.work)
        local("commit", "-qm", "greet", cwd=self.work)
        return local("rev-parse", "HEAD", cwd=self.work)

    async def push(self, *refs: str) -> tuple[int, str]:
        return await self.git("push", "-q", "origin", *refs, cwd=self.work)

    def head(self, name: str = BRANCH) -> str:
        return local("rev-parse", f"refs/heads/{name}", cwd=self.exchange)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    with short_folder() as folder:
        async with served(folder) as api:
            place = Place(await api.speaker(), tmp_path)
            await place.be("far")
            yield place


async def test_a_clone_and_a_push(place: Place) -> None:
    await place.clone()
    assert (place.work / "README.md").read_text() == "# Shop\n"
    commit = place.commit()
    assert await place.push(BRANCH) == (0, "")
    assert place.head() == commit


async def test_what_an_agent_laid_into_a_shared_folder_is_not_served(place: Place) -> None:
    await place.be("host")
    status, said = await place.git("ls-remote", place.url)
    assert status != 0 and BRANCH not in said


async def test_the_token_as_a_password(place: Place) -> None:
    url = place.url.replace("://", f"://agent:{place.agent.token}@")
    status, said = await place.git("ls-remote", url, basic=True)
    assert status == 0 and f"refs/heads/{BRANCH}" in said
    wrong = place.url.replace("://", "://agent:bpa_no@")
    assert (await place.git("ls-remote", wrong, basic=True))[0] == 128


async def test_a_large_push_streams(place: Place) -> None:
    await place.clone()
    (place.work / "noise").write_bytes(os.urandom(8 << 20))
    commit = place.commit()
    assert await place.push(BRANCH) == (0, "")
    assert place.head() == commit
    status, said = await place.git("clone", "-q", "-b", BRANCH, place.url, "again")
    assert status == 0, said
    assert (place.folder / "again" / "noise").stat().st_size == 8 << 20


async def test_history_may_be_rewritten(place: Place) -> None:
    await place.clone()
    place.commit()
    await place.push(BRANCH)
    local("commit", "-q", "--amend", "-m", "better", cwd=place.work)
    assert (await place.push("-f", BRANCH))[0] == 0
    assert place.head() == local("rev-parse", "HEAD", cwd=place.work)


@pytest.mark.parametrize("ref", [
    f"{BRANCH}:refs/heads/other", f"{BRANCH}:refs/tags/v1", f"{BRANCH}:refs/hidden/secret",
    f"{BRANCH}:refs/bullpen/carried", f":{BRANCH}", ":main"])
async def test_no_other_ref_is_made_and_none_deleted(place: Place, ref: str) -> None:
    await place.clone()
    place.commit()
    before = local("for-each-ref", cwd=place.exchange)
    status, _ = await place.push(ref)
    assert status != 0
    assert local("for-each-ref", cwd=place.exchange) == before


async def test_hidden_refs_are_not_shown(place: Place) -> None:
    _, said = await place.git("ls-remote", place.url)
    assert "refs/heads/main" in said and "hidden" not in said


async def test_an_object_that_no_branch_reaches_is_not_handed_out(place: Place) -> None:
    """Also where the exchange borrows the objects of another repository."""
    other = place.folder / "other"
    other.mkdir()
    local("init", "-q", "-b", "main", cwd=other)
    (other / "secret").write_text("secret")
    local("add", ".", cwd=other)
    local("commit", "-qm", "secret", cwd=other)
    secret = local("rev-parse", "HEAD", cwd=other)
    (place.exchange / "objects/info/alternates").write_text(f"{other}/.git/objects\n")
    assert local("cat-file", "-t", secret, cwd=place.exchange) == "commit"
    await place.clone()
    for version in "0", "2":
        status, said = await place.git("-c", f"protocol.version={version}", "fetch", "origin",
                                       secret, cwd=place.work)
        assert status != 0, said


async def test_hooks_and_planted_settings_never_run(place: Place) -> None:
    proof = place.folder / "ran"
    hooks = place.exchange / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("pre-receive", "update", "post-receive", "post-update", "reference-transaction",
                 "proc-receive", "push-to-checkout"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {proof}\n")
        (hooks / name).chmod(0o755)
    await place.clone()
    place.commit()
    assert (await place.push(BRANCH))[0] == 0
    assert not proof.exists()


async def test_the_dumb_protocol_is_not_spoken(place: Place) -> None:
    api, own = place.agent.api, f"/git/{place.agent.session.id}.git"
    for path in ("/HEAD", "/objects/info/packs", "/config", "/info/refs", "/../config",
                 "/info/refs?service=git-upload-archive", "/hooks/update", "/git-upload-archive"):
        for method in ("GET", "POST"):
            said = await api.ask(method, own + path, token=place.agent.token)
            assert said.status in (401, 404, 405), path


async def test_only_its_own_repository(place: Place) -> None:
    api: Api = place.agent.api
    other = await api.speaker()
    refs = "info/refs?service=git-upload-pack"
    own = f"/git/{place.agent.session.id}.git/{refs}"
    for token, path, status in (
            (None, own, 401), ("bpa_x", own, 401), (other.token, own, 404),
            (place.agent.token, f"/git/{other.session.id}.git/{refs}", 404),
            (other.token, f"/git/{other.session.id}.git/{refs}", 404),
            (place.agent.token, own, 200)):
        said = await api.ask("GET", path, token=token)
        assert said.status == status
        assert "Basic" in said.headers.get("WWW-Authenticate", "") or status != 401
    await place.agent.end()
    assert (await api.ask("GET", own, token=place.agent.token)).status == 401


async def test_an_errand_has_an_exchange_of_its_own(place: Place) -> None:
    home, agent = place.agent.api.home, place.agent
    folder = home.data / "errands" / "e1"
    folder.mkdir(parents=True)
    door = home.doors.errand(agent.session.id, folder)
    assert (await place.git("ls-remote", place.url, token=door.token))[0] == 128
    os.rename(place.exchange, folder / "exchange.git")
    assert (await place.git("ls-remote", place.url, token=door.token))[0] == 0
    assert (await place.git("ls-remote", place.url))[0] == 128
    home.doors.errand_over(door)
    assert (await place.git("ls-remote", place.url, token=door.token))[0] == 128


async def test_an_exchange_that_is_a_link_is_none(place: Place) -> None:
    os.rename(place.exchange, place.folder / "real.git")
    place.exchange.symlink_to(place.folder / "real.git")
    assert (await place.git("ls-remote", place.url))[0] == 128


async def test_a_push_that_breaks_off_leaves_nothing(place: Place) -> None:
    """Neither a process, nor a moved branch."""
    before = place.head()
    reader, writer = await asyncio.open_connection(*place.agent.api.url[7:].split(":"))
    writer.write((f"POST /git/{place.agent.session.id}.git/git-receive-pack HTTP/1.1\r\n"
                  f"Host: {place.agent.api.url[7:]}\r\n"
                  f"Authorization: Bearer {place.agent.token}\r\n"
                  "Content-Length: 5000000\r\n\r\n0094").encode())
    await writer.drain()
    while not _backends(place.exchange):
        await asyncio.sleep(0.01)
    writer.close()
    while _backends(place.exchange):
        await asyncio.sleep(0.01)
    assert place.head() == before
    del reader


async def test_one_that_hangs_takes_nobody_elses_turn(place: Place) -> None:
    api, held = place.agent.api, []
    for _ in range(40):
        _, writer = await asyncio.open_connection(*api.url[7:].split(":"))
        writer.write((f"POST /git/{place.agent.session.id}.git/git-receive-pack HTTP/1.1\r\n"
                      f"Host: {api.url[7:]}\r\nAuthorization: Bearer {place.agent.token}\r\n"
                      "Content-Length: 5000000\r\n\r\n0094").encode())
        held.append(writer)
    other = Place(await api.speaker(), place.folder / "other")
    await other.be("far")
    await other.clone()
    assert len(_backends(place.exchange)) <= 3 * 2  # git, http-backend and receive-pack each
    for writer in held:
        writer.close()
    while _backends(place.exchange):
        await asyncio.sleep(0.01)


async def test_a_push_that_is_too_large_is_refused(place: Place) -> None:
    said = await place.agent.api.ask(
        "POST", f"/git/{place.agent.session.id}.git/git-receive-pack", token=place.agent.token,
        data=b"", headers={"Content-Length": str(serving.LARGEST_PUSH + 1)})
    assert said.status == 413 and said.code == "INVALID_INPUT"


def _backends(repository: Path) -> list[int]:
    """Processes at work in that repository."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(path / "cwd").startswith(str(repository)):
                found.append(int(path.name))
        except OSError:
            continue
    return found
