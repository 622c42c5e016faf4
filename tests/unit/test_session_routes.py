"""What an agent may say over HTTP and over its session's socket, and what comes of it."""

from __future__ import annotations

import asyncio
import base64
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core import acts
from core.artifacts import RAW
from core.model import GateState, IterationState
from core.store import doors, gates, inputs, sessions
from tests.api_bench import Api, Speaker, serving, short_folder
from tests.house_bench import ANN, HERE


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    with short_folder() as folder:
        async with serving(folder) as api:
            yield api


@pytest.fixture
async def agent(api: Api) -> Speaker:
    return await api.speaker()


async def iteration(agent: Speaker) -> sessions.Iteration:
    return await agent.api.home.store.write(
        lambda tx: sessions.get_iteration(tx, agent.session.id))


async def answer(api: Api, gate_id: int, text: str) -> None:
    await api.home.store.write(lambda tx: acts.answer(
        tx, api.home, gates.get(tx, gate_id), ANN, HERE, text))


# -- outcomes --------------------------------------------------------------------------------


async def test_the_last_outcome_counts(agent: Speaker) -> None:
    for name in ("verify.passed", "verify.failed"):
        said = await agent.ask("POST", "outcome", {"outcome": name, "summary": f"It {name}."})
        assert (said.status, said.json) == (200, {"outcome": name})
    found = await iteration(agent)
    assert (found.outcome, found.summary) == ("verify.failed", "It verify.failed.")


async def test_an_outcome_that_is_not_declared_names_those_that_are(agent: Speaker) -> None:
    said = await agent.ask("POST", "outcome", {"outcome": "pr.merged\n"})
    assert (said.status, said.code) == (400, "INVALID_INPUT")
    assert "Say one of: default, verify.passed, verify.failed." in said.message
    assert "\n" not in said.message
    assert (await iteration(agent)).outcome is None


# -- progress --------------------------------------------------------------------------------


async def test_progress_is_one_line_and_bounded(agent: Speaker) -> None:
    said = [await agent.ask("POST", "progress", {"text": f"Part {n}\nof \x1b[31mmany"})
            for n in range(11)]
    assert [one.status for one in said] == [200] * 10 + [429]
    assert said[-1].code == "RATE_LIMITED" and "Retry-After" in said[-1].headers
    rows = await agent.api.home.store.read("SELECT text FROM events WHERE type = 'task.progress'")
    assert [row[0] for row in rows][:1] == ["Part 0 of [31mmany"] and len(rows) == 10
    assert (await agent.ask("POST", "progress", {"text": " \n"})).status == 400


# -- questions and permissions ---------------------------------------------------------------


async def test_a_question_waits_for_its_answer(agent: Speaker) -> None:
    body = {"text": "Red or blue?", "options": ["red", "blue"]}
    asked = await agent.ask("POST", "question", body)
    gate = asked.json["gate"]
    assert asked.status == 201
    assert (gate["ref"], gate["kind"], gate["state"]) == ("G-1", "question", "open")
    assert (await iteration(agent)).state is IterationState.WAITING
    waiting = asyncio.create_task(agent.ask("GET", "gates/1?wait=60"))
    while not agent.api.server._bell._waiting:
        await asyncio.sleep(0)
    await answer(agent.api, 1, "blue")
    said = (await asyncio.wait_for(waiting, 30)).json["gate"]
    assert (said["state"], said["answer"]) == ("answered", "blue")
    assert (await iteration(agent)).state is IterationState.RUNNING
    assert (await agent.ask("GET", "gates/G-1")).json["gate"]["answer"] == "blue"


async def test_an_answer_needs_no_input_of_the_driver(agent: Speaker) -> None:
    await agent.ask("POST", "question", {"text": "Which?"})
    await answer(agent.api, 1, "that")
    assert await agent.api.value("SELECT count(*) FROM inputs") == 0


async def test_the_iteration_waits_until_all_is_answered(agent: Speaker) -> None:
    await agent.ask("POST", "question", {"text": "One?"})
    await agent.ask("POST", "question", {"text": "Two?"})
    await answer(agent.api, 1, "yes")
    assert (await iteration(agent)).state is IterationState.WAITING
    await answer(agent.api, 2, "no")
    assert (await iteration(agent)).state is IterationState.RUNNING


@pytest.mark.parametrize("header", [True, False])
async def test_the_same_key_gives_the_same_gate(agent: Speaker, header: bool) -> None:
    for text in ("Shall I?", "Shall I, again?"):
        more = {"headers": {"Idempotency-Key": "k"}} if header else {}
        body = {"text": text} if header else {"text": text, "key": "k"}
        assert (await agent.ask("POST", "question", body, **more)).json["gate"]["id"] == 1
    await answer(agent.api, 1, "yes")
    again = (await agent.ask("POST", "question", {"text": "x", "key": "k"})).json["gate"]
    assert (again["id"], again["answer"]) == (1, "yes")
    other = (await agent.ask("POST", "permission", {"tool": "x", "key": "k"})).json["gate"]
    assert other["id"] == 2


async def test_without_a_key_the_same_open_question_is_one(agent: Speaker) -> None:
    first, again = [(await agent.ask("POST", "question", {"text": "Now?"})).json["gate"]["id"]
                    for _ in range(2)]
    assert first == again
    await answer(agent.api, first, "no")
    assert (await agent.ask("POST", "question", {"text": "Now?"})).json["gate"]["id"] == 2


async def test_a_permission_shows_all_of_its_input(agent: Speaker) -> None:
    given = {"command": "rm -rf /\x1b[2K", "n": 1}
    await agent.ask("POST", "permission", {"tool": "Bash", "input": given})
    body = await agent.api.value("SELECT body FROM gates")
    assert body.startswith("Bash\n") and "rm -rf /" in body and "\x1b" not in body
    home = agent.api.home
    await home.store.write(lambda tx: acts.reject(
        tx, home, gates.get(tx, 1), ANN, HERE, "never"))
    gate = (await agent.ask("GET", "gates/1")).json["gate"]
    assert (gate["state"], gate["answer"]) == ("rejected", "never")


async def test_so_many_wait_at_once_and_no_more(agent: Speaker) -> None:
    said = [await agent.ask("POST", "question", {"text": f"{n}?"}) for n in range(6)]
    assert [one.status for one in said] == [201] * 5 + [429]


async def test_the_end_of_the_attempt_ends_its_gates(agent: Speaker) -> None:
    await agent.ask("POST", "question", {"text": "Now?"})
    await agent.end()
    assert (await agent.ask("GET", "gates/1")).status == 401
    assert (await agent.ask("POST", "outcome", {"outcome": "default"})).code == "UNAUTHORIZED"


async def test_what_ended_between_token_and_act_is_a_conflict(agent: Speaker) -> None:
    home = agent.api.home
    await home.store.write(lambda tx: sessions.close_iteration(
        tx, agent.session.id, IterationState.KILLED, "killed"))
    for path, body in (("outcome", {"outcome": "default"}), ("progress", {"text": "x"}),
                       ("question", {"text": "x"}), ("permission", {"tool": "x"})):
        assert (await agent.ask("POST", path, body)).code == "CONFLICT"
    assert (await agent.ask("PUT", "artifacts/a.md", data=b"x")).code == "CONFLICT"


# -- artifacts -------------------------------------------------------------------------------


async def test_an_artifact_is_kept_by_its_author(agent: Speaker) -> None:
    assert (await agent.ask("PUT", "artifacts/plan.md", data=b"one")).json["version"] == 1
    assert (await agent.ask("PUT", "artifacts/plan.md", data=b"one")).json["version"] == 1
    assert (await agent.ask("PUT", "artifacts/plan.md", data=b"two")).json["version"] == 2
    got = await agent.ask("GET", "artifacts/plan.md")
    assert got.body == b"two" and got.headers["Content-Type"] == "application/octet-stream"
    assert (agent.folder / "artifacts" / "plan.md").read_bytes() == b"two"
    listed = (await agent.ask("GET", "artifacts")).json
    mine = next(one for one in listed["artifacts"] if one["name"] == "plan.md")
    assert (mine["version"], mine["author"]) == (2, "agent:claude")


async def test_what_may_not_be_written(agent: Speaker) -> None:
    for name in ("..%2fx", "a%2fb", ".hidden", "%00", "a%0ab", "x" * 101):
        assert (await agent.ask("PUT", f"artifacts/{name}", data=b"x")).status in (400, 404)
    assert (await agent.ask("PUT", f"artifacts/{RAW}", data=b"x")).code == "CONFLICT"
    assert (await agent.ask("GET", "artifacts/nothing.md")).code == "NOT_FOUND"
    assert await agent.api.value("SELECT count(*) FROM artifacts WHERE author LIKE 'agent:%'") == 0


async def test_a_link_in_the_artifacts_folder_is_replaced_not_followed(
        agent: Speaker, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("mine")
    (agent.folder / "artifacts" / "plan.md").symlink_to(other)
    await agent.ask("PUT", "artifacts/plan.md", data=b"new")
    assert other.read_text() == "mine"
    assert not (agent.folder / "artifacts" / "plan.md").is_symlink()


async def test_an_artifacts_folder_that_leads_elsewhere_is_refused(
        agent: Speaker, tmp_path: Path) -> None:
    (agent.folder / "artifacts").rmdir()
    (agent.folder / "artifacts").symlink_to(tmp_path)
    said = await agent.ask("PUT", "artifacts/plan.md", data=b"new")
    assert said.code == "CONFLICT" and not (tmp_path / "plan.md").exists()


async def test_so_many_artifacts_and_no_more(agent: Speaker) -> None:
    said = [await agent.ask("PUT", f"artifacts/a{n}", data=b"x") for n in range(51)]
    assert [one.status for one in said] == [200] * 50 + [409]


async def test_outcome_json_put_as_an_artifact_is_the_outcome(agent: Speaker) -> None:
    said = await agent.ask("PUT", "artifacts/outcome.json", data=b'{"outcome": "verify.failed"}')
    assert said.json == {"name": "outcome.json", "version": 0}
    assert (await iteration(agent)).outcome == "verify.failed"
    assert (await agent.ask("PUT", "artifacts/outcome.json", data=b"{}")).status == 400


# -- input, lease, memory --------------------------------------------------------------------


async def test_inputs_come_in_order_and_the_last_ends_them(agent: Speaker) -> None:
    home = agent.api.home
    assert (await agent.ask("GET", "input")).json == {"inputs": [], "ended": False}
    for data, last in ((b"one\n", False), (b"\xff", True)):
        await home.store.write(lambda tx, d=data, e=last: inputs.owe(
            tx, agent.session.id, d, last=e))
    got = (await agent.ask("GET", "input?after=0&wait=30")).json
    assert [(one["number"], base64.b64decode(one["data"]), one["last"])
            for one in got["inputs"]] == [(1, b"one\n", False), (2, b"\xff", True)]
    assert got["ended"]
    assert (await agent.ask("GET", "input?after=1")).json["inputs"][0]["number"] == 2
    assert (await agent.ask("GET", "input?after=2")).json == {"inputs": [], "ended": True}
    for bad in ("after=-1", "after=x", "wait=1e9", "after=99999999999"):
        assert (await agent.ask("GET", f"input?{bad}")).status == 400


async def test_an_input_is_heard_of_while_waiting(agent: Speaker) -> None:
    waiting = asyncio.create_task(agent.ask("GET", "input?wait=60"))
    while not agent.api.server._bell._waiting:
        await asyncio.sleep(0)
    await agent.api.home.store.write(
        lambda tx: inputs.owe(tx, agent.session.id, b"hello"))
    got = (await asyncio.wait_for(waiting, 30)).json
    assert base64.b64decode(got["inputs"][0]["data"]) == b"hello"


async def test_the_first_holder_has_the_lease(agent: Speaker) -> None:
    for holder, status in (("a", 200), ("a", 200), ("b", 409), ("a", 200), ("", 400)):
        assert (await agent.ask("POST", "lease", {"holder": holder})).status == status
    assert await agent.api.value("SELECT lease FROM attempts") == "a"


async def test_a_persistent_agent_has_a_memory(api: Api) -> None:
    keeper, other = await api.speaker("keeper"), await api.speaker()
    assert (await keeper.ask("GET", "memory")).body == b""
    assert (await keeper.ask("PUT", "memory", data=b"Tests need a port.")).json == {"size": 18}
    assert (await keeper.ask("GET", "memory")).body == b"Tests need a port."
    assert (await other.ask("GET", "memory")).code == "NOT_FOUND"
    assert (await keeper.ask("PUT", "memory", data=b"x" * ((1 << 20) + 1))).status == 413


async def test_a_memory_that_is_a_link_is_not_followed(api: Api, tmp_path: Path) -> None:
    keeper = await api.speaker("keeper")
    await keeper.ask("PUT", "memory", data=b"mine")
    file = api.home.data / "agents" / "keeper" / "memory" / "MEMORY.md"
    file.unlink()
    (tmp_path / "secret").write_text("secret")
    file.symlink_to(tmp_path / "secret")
    assert (await keeper.ask("GET", "memory")).code == "CONFLICT"
    await keeper.ask("PUT", "memory", data=b"new")
    assert (tmp_path / "secret").read_text() == "secret" and file.read_text() == "new"


# -- the socket ------------------------------------------------------------------------------


async def test_the_socket_is_who_speaks(agent: Speaker) -> None:
    await agent.api.home.doors.open(agent.session.id)
    assert stat.S_IMODE(agent.socket.stat().st_mode) == 0o600
    assert stat.S_IMODE(agent.socket.parent.stat().st_mode) == 0o700
    assert (await agent.over_socket("POST", "progress", {"text": "Hi"})).status == 200
    own = await agent.over_socket("POST", "progress", {"text": "Hi"}, token=agent.token)
    assert own.status == 200
    for wrong in ("bpa_wrong", ""):
        headers = {"Authorization": f"Bearer {wrong}"} if wrong else {"Host": "evil.example"}
        assert (await agent.over_socket("GET", "artifacts", headers=headers)).status in (400, 401)


async def test_a_socket_knows_no_other_session(api: Api) -> None:
    one, two = await api.speaker(), await api.speaker()
    await api.home.doors.open(one.session.id)
    await api.home.doors.open(two.session.id)
    assert (await one.over_socket("GET", "artifacts", token=two.token)).status == 401
    await one.over_socket("POST", "question", {"text": "Mine?"})
    assert (await two.over_socket("GET", "gates/1")).status == 404
    assert (await one.over_socket("GET", "gates/1")).status == 200


async def test_a_socket_of_an_ended_attempt_is_deaf(agent: Speaker) -> None:
    await agent.api.home.doors.open(agent.session.id)
    await agent.end()
    assert (await agent.over_socket("POST", "progress", {"text": "Hi"})).status == 401


async def test_what_stood_at_the_sockets_place_is_replaced(agent: Speaker) -> None:
    agent.socket.parent.mkdir()
    agent.socket.write_text("left over")
    await agent.api.home.doors.open(agent.session.id)
    await agent.api.home.doors.open(agent.session.id)
    assert (await agent.over_socket("GET", "artifacts")).status == 200
    agent.socket.unlink()
    await agent.api.home.doors.open(agent.session.id)
    assert (await agent.over_socket("GET", "artifacts")).status == 200
    await agent.api.home.doors.close(agent.session.id)
    await agent.api.home.doors.close(agent.session.id)
    assert not agent.socket.exists()


async def test_a_door_that_leads_elsewhere_is_not_used(agent: Speaker, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    agent.socket.parent.symlink_to(tmp_path / "elsewhere")
    await agent.api.home.doors.open(agent.session.id)
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_socket_takes_so_many_connections(agent: Speaker) -> None:
    await agent.api.home.doors.open(agent.session.id)
    held = [await asyncio.open_unix_connection(str(agent.socket)) for _ in range(16)]
    reader, writer = await asyncio.open_unix_connection(str(agent.socket))
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()
    for _, other in held:
        other.close()
        await other.wait_closed()
    for _ in range(1000):
        await asyncio.sleep(0)
    assert (await agent.over_socket("GET", "artifacts")).status == 200


async def test_an_errand_reaches_its_lease_and_nothing_else(agent: Speaker) -> None:
    home = agent.api.home
    door = home.doors.errand(agent.session.id, home.data / "errand")
    ask = {"token": door.token}
    assert (await agent.ask("POST", "lease", {"holder": "p"}, **ask)).status == 200
    assert (await agent.ask("POST", "lease", {"holder": "q"}, **ask)).status == 409
    assert (await agent.ask("GET", "input", **ask)).json == {"inputs": [], "ended": True}
    assert (await agent.ask("GET", "artifacts", **ask)).code == "FORBIDDEN"
    home.doors.errand_over(door)
    assert (await agent.ask("POST", "lease", {"holder": "p"}, **ask)).status == 401


async def test_a_gate_of_the_driver_is_none_of_the_way_back(agent: Speaker) -> None:
    home = agent.api.home
    new = gates.NewGate(gates.GateKind.QUESTION, agent.task.id, "x", session_id=agent.session.id,
                        attempt=1, request={"request_id": "r"})
    await home.store.write(lambda tx: gates.open_gate(tx, new))
    assert (await agent.ask("GET", "gates/1")).status == 404
    found = await doors.gate(home.store, agent.attempt, 1)
    assert found is None and GateState.OPEN.value == "open"
