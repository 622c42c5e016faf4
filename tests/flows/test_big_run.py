"""Forty tasks in six waves, eight real processes at once, one failing where later ones need it:
driven from the console from the preview to the end."""

from __future__ import annotations

from collections import Counter

from tests.bot_bench import CHORE
from tests.flows.bench import Bench, Live

SIZES = (8, 8, 8, 8, 7, 1)
BROKEN = 20
"""A task of the third wave."""

WORK = """
echo begin $1 >> {ledger}
if [ $1 -le 8 ]; then  # those of the first wave wait for each other
  touch {folder}/here-$1
  while [ $(ls {folder}/here-* | wc -l) -lt 8 ]; do sleep 0.02; done
fi
if [ $1 = {broken} ] && [ ! -e {folder}/mended ]; then
  echo fail $1 >> {ledger}; echo 'no price list' >&2; exit 3
fi
echo end $1 >> {ledger}
"""


def waves() -> list[list[int]]:
    """The ids by wave: each task but the first wave's needs two of the wave before it."""
    made, first = [], 1
    for size in SIZES:
        made.append(list(range(first, first + size)))
        first += size
    return made


def needs() -> dict[int, set[int]]:
    found: dict[int, set[int]] = {}
    for before, wave in zip([[], *waves()], waves(), strict=False):
        for place, task in enumerate(wave):
            found[task] = {before[place % len(before)], before[(place + 1) % len(before)]} \
                if before else set()
    return found


async def test_forty_tasks_in_six_waves(bench: Bench) -> None:
    ledger = bench.folder / "ledger"
    work = bench.folder / "work.sh"
    work.write_text(WORK.format(ledger=ledger, folder=bench.folder, broken=BROKEN))
    bench.configure(CHORE, "config/workflows/chore.toml")
    bench.configure('[agents.shell]\ndriver = "command"\nmax_concurrent_tasks = 8\n',
                    "config/agents.toml")
    async with bench.running(BULLPEN_QUEUE__MAX_CONCURRENT="8") as live:
        for task, needed in needs().items():
            after = f" --after {','.join(map(str, sorted(needed)))}" if needed else ""
            await live.say(f'/add "Step {task}" --lane prices --workflow chore --draft{after} '
                           f'--run "sh {work} {task}"', f"TASK-{task:03d} · Step {task}")
        dry = await live.say("/go prices --dry", "Wave 6")
        assert all(f"Wave {number}" in dry for number in range(1, 7)), dry
        assert set(bench.states().values()) == {"inbox"} and not ledger.exists()
        await live.say("/go prices", "RUN-001", "40 tasks in 6 waves")
        await live.until(lambda: bench.value("SELECT state FROM runs") == "paused", "the pause")
        await _mend(bench, live)
        await live.until(lambda: bench.value("SELECT state FROM runs") == "completed", "the end")
        await live.told("RUN-001 is done")
    _check(bench, ledger.read_text().split("\n")[:-1])


async def _mend(bench: Bench, live: Live) -> None:
    """The alert names what failed and what needs it; the rest of the wave goes on meanwhile."""
    await live.told(f"TASK-{BROKEN:03d} failed")
    await live.told("RUN-001 is paused")
    await live.until(lambda: bench.value(
        "SELECT count(*) FROM tasks WHERE wave = 3 AND state = 'done'") == 7, "the others")
    await live.say("/resume RUN-1", f"TASK-{BROKEN:03d}")
    assert bench.value("SELECT state FROM runs") == "paused", "not while it stands broken"
    assert not bench.rows("SELECT 1 FROM sessions JOIN tasks ON tasks.id = task_id WHERE wave > 3")
    (bench.folder / "mended").touch()
    await live.say(f"/retry {BROKEN}", f"TASK-{BROKEN:03d} will be tried again")


def _check(bench: Bench, lines: list[str]) -> None:
    assert Counter(bench.states().values()) == {"done": 40}
    run = bench.rows("SELECT * FROM runs")[0]
    assert (run["done"], run["failed"], run["waves"], run["total"]) == (40, 0, 6, 40)
    assert {row["state"] for row in bench.rows("SELECT state FROM waves")} == {"completed"}
    assert (bench.data / "site" / "runs" / "RUN-001.html").is_file()
    wave_of = {task: number for number, wave in enumerate(waves()) for task in wave}
    running: set[int] = set()
    ended: set[int] = set()
    most = 0
    for line in lines:
        word, number = line.split()
        task = int(number)
        if word == "begin":
            assert needs()[task] <= ended, f"{task} began before what it needs"
            earlier = {other for other in wave_of if wave_of[other] < wave_of[task]}
            assert earlier <= ended, f"{task} began before the wave before it had ended"
            running.add(task)
            most = max(most, len(running))
        else:
            running.discard(task)
            ended |= {task} if word == "end" else set()
    assert most == 8 and not running
