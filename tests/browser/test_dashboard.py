"""The pages as a person sees them: in a real browser, on a phone and on a desk."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from site_gen.build import Builder
from site_gen.crew import Crew, Member
from site_gen.render import Settings
from tests.fakes.filled import Clock, Filled, fill
from tests.fakes.filled_run import add_run
from tests.needs import need

CHROMIUM = Path("/usr/bin/chromium")
ARGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync")
WIDTHS = {"phone": (390, 844), "small phone": (360, 640), "desk": (1280, 900)}

# The contrast of each text with what lies behind it, by the formula of WCAG 2.
CONTRAST = """() => {
  const channels = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = channels(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || e.closest("script, svg, title")) continue;
    const [a, b] = [light(channels(getComputedStyle(e).color)), light(behind(e))]
      .sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)}`);
  }
  return poor;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    need("chromium", CHROMIUM.exists(), "apt-get install chromium")
    pytest.importorskip("playwright")
    with Playing() as found:
        yield found


class Playing:
    """A browser in a thread of its own: playwright's plain calls and pytest's loop don't mix."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Playing:
        self._thread.start()
        self.do(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(90)

    async def _open(self) -> None:
        from playwright.async_api import async_playwright

        self._stack = contextlib.AsyncExitStack()
        player = await self._stack.enter_async_context(async_playwright())
        self._chromium = await player.chromium.launch(
            executable_path=str(CHROMIUM), args=list(ARGS))
        self._stack.push_async_callback(self._chromium.close)

    async def _close(self) -> None:
        await self._stack.aclose()

    def look(self, page: Path, ask: str, *, width: str = "phone", scheme: str = "light",
             script: bool = True) -> Any:
        """Open the page and return what `ask` evaluates to; fails on anything the browser
        complains about."""
        return self.do(self._look(page, ask, WIDTHS[width], scheme, script))

    async def _look(self, page: Path, ask: str, size: tuple[int, int], scheme: str,
                    script: bool) -> Any:
        context = await self._chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme,
            java_script_enabled=True)
        said: list[str] = []
        try:
            tab = await context.new_page()
            tab.on("console", lambda message: said.append(message.text))
            tab.on("pageerror", lambda error: said.append(str(error)))
            if not script:
                await tab.route("**/static/app.js", lambda route: route.fulfill(body=""))
            await tab.goto(page.as_uri())
            answer = await tab.evaluate(ask)
        finally:
            await context.close()
        assert said == []
        return answer


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    clock = Clock(int(time.time() * 1000) - 7_200_000)
    filled = asyncio.run(_filled(tmp_path_factory.mktemp("site"), clock))
    build(filled, lambda: int(time.time() * 1000))
    return filled


async def _filled(folder: Path, clock: Clock) -> Filled:
    """A busy day with a run under way, one that is paused, and one of many waves."""
    filled = await fill(folder, clock=clock)
    await add_run(filled)
    await add_run(filled, sizes=(3, 4, 2), at=2, state="paused", title="web", seed=3)
    await add_run(filled, sizes=(60, *(2,) * 30), at=12, title="docs", seed=5)
    return filled


def build(filled: Filled, now: Callable[[], int]) -> Path:
    crew = Crew((Member("coder-1", capacity=3, budget_usd=2.0),
                 Member("off-1", missing="off-1 is disabled.")), slots=4, day_usd=20.0)
    builder = Builder(filled.folder, filled.folder / "site", Settings(crew=crew), now)
    builder.tick()
    builder.close()
    return filled.folder / "site"


def some_pages(filled: Filled) -> list[Path]:
    site = filled.folder / "site"
    tasks = [f"tasks/TASK-{filled.tasks[state][0]:03d}.html" for state in filled.tasks]
    names = ["index.html", "tasks.html", "events.html", *tasks,
             f"sessions/{filled.sessions[1]}.html", "runs.html", "cost.html", "agents/coder-1.html",
             "agents/off-1.html",
             *(f"runs/RUN-00{n}.html" for n in (1, 2, 3)),
             "tasks/TASK-025.html", "tasks/TASK-046.html"]
    return [site / name for name in names]


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_screen(browser: Playing, filled: Filled, width: str) -> None:
    for page in some_pages(filled):
        found = browser.look(page, "document.documentElement.scrollWidth", width=width)
        assert found <= WIDTHS[width][0], page.name


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(browser: Playing, filled: Filled, scheme: str) -> None:
    for page in some_pages(filled):
        assert browser.look(page, CONTRAST, scheme=scheme) == [], page.name


@pytest.mark.browser
def test_the_pages_say_all_without_the_script(browser: Playing, filled: Filled) -> None:
    page = filled.folder / "site" / "index.html"
    text = browser.look(page, "document.body.innerText", script=False)
    assert "wait for a person" in text
    assert "UTC" in text
    assert "ago" not in text


@pytest.mark.browser
def test_the_script_tells_ages_and_that_all_is_fresh(browser: Playing, filled: Filled) -> None:
    page = build(filled, lambda: int(time.time() * 1000)) / "index.html"
    text = browser.look(page, "document.body.innerText")
    assert "min ago" in text
    assert "may be out of date" not in text


@pytest.mark.browser
def test_a_dead_bot_is_seen_on_every_page(browser: Playing, filled: Filled) -> None:
    site = filled.folder / "site"
    beat = {"at": int(time.time() * 1000) - 600_000, "interval": 60}
    (site / "heartbeat.js").write_text(f"window.bullpenHeartbeat = {json.dumps(beat)};\n")
    for page in some_pages(filled):
        assert "out of date" in browser.look(page, "document.getElementById('stale').innerText")


@pytest.mark.browser
def test_the_board_leads_to_a_task_and_its_log(browser: Playing, filled: Filled) -> None:
    site = build(filled, lambda: int(time.time() * 1000))
    card = browser.look(site / "index.html", "document.querySelector('.c-done a').href")
    task = Path(card.removeprefix("file://"))
    log = browser.look(task, "document.querySelector('a[href*=sessions]').href")
    text = browser.look(Path(log.removeprefix("file://")), "document.body.innerText")
    assert "41 passed in 5.12s" in text


# What lies over a dot's middle, for each dot that can be seen: the dot's own link.
COVERED = """() => [...document.querySelectorAll('svg.dots a')].filter((link) => {
  link.scrollIntoView({ block: 'center', inline: 'center' });
  const box = link.querySelector('circle').getBoundingClientRect();
  const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return !top || top.closest('a') !== link;
}).length"""


@pytest.mark.browser
@pytest.mark.parametrize("width", WIDTHS)
def test_every_dot_of_a_run_can_be_pressed(browser: Playing, filled: Filled, width: str) -> None:
    for run in (1, 2, 3):
        page = filled.folder / "site" / "runs" / f"RUN-{run:03d}.html"
        assert browser.look(page, COVERED, width=width) == 0
        size = browser.look(page, "document.querySelector('svg.dots circle')"
                            ".getBoundingClientRect().width", width=width)
        assert 16 <= size <= 34


@pytest.mark.browser
def test_a_runs_waves_fit_a_phone_and_many_scroll_alone(browser: Playing, filled: Filled) -> None:
    ask = "(() => { const e = document.querySelector('.waves'); " \
          "return e.scrollWidth > e.clientWidth })()"
    site = filled.folder / "site" / "runs"
    assert browser.look(site / "RUN-001.html", ask) is False
    assert browser.look(site / "RUN-003.html", ask) is True


@pytest.mark.browser
def test_the_overview_leads_to_a_run_its_task_and_the_receipt(browser: Playing,
                                                               filled: Filled) -> None:
    def go(page: Path, selector: str) -> Path:
        link = browser.look(page, f"document.querySelector({json.dumps(selector)}).href")
        return Path(link.removeprefix("file://"))

    run = go(filled.folder / "site" / "index.html", "a[href='runs/RUN-001.html']")
    opened = browser.look(run, "[...document.querySelectorAll('details[open] b')]"
                          ".map((e) => e.innerText)")
    assert opened == ["Wave 3"]
    task = go(run, "details a[href$='TASK-025.html']")
    text = browser.look(task, "document.body.innerText")
    assert "41 passed, 2 skipped" in text
    assert "Wave 3" not in text and "wave 1" in text
