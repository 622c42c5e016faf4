"""The process of a model call: one request over HTTP, its answer as lines of JSON.

A program of its own, so that it outlives the bot and can be ended like any agent. It reads
what to do as one JSON object from its input, and needs nothing but aiohttp. The key comes out
of the environment and is in no line that it prints.
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import os
import stat
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

_HEARTBEAT = 15.0
"""Seconds between two signs of life: it is not idle while it waits for the model."""
_LONGEST_WAIT = 60.0
"""Seconds to wait for another try; what is over later is a limit."""
_MOST_READ, _MOST_TAKEN = 4 << 20, 32 << 20
"""Bytes of an input artifact, and of an answer."""
_BASES = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}

Table = Mapping[str, Any]


class Failed(Exception):
    """It came to nothing; the words say why. `limit`: until `reset_at` (ms), where it is known."""

    def __init__(self, words: str, limit: bool = False, reset_at: int | None = None) -> None:
        super().__init__(words)
        self.limit, self.reset_at = limit, reset_at


class Again(Failed):
    """It may be better at another try, after `pause` seconds where the provider says so."""

    def __init__(self, words: str, pause: float | None = None, limit: bool = False) -> None:
        super().__init__(words, limit)
        self.pause = pause
        self.reset_at = None if pause is None else int((time.time() + pause) * 1000)


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    model: str
    tokens_in: int
    tokens_out: int
    cached: int
    cut: bool


def main() -> int:
    job = json.loads(sys.stdin.buffer.read())
    name = str(job["key_variable"])
    key = os.environ.get(name, "").strip()
    say = _Voice(key)
    try:
        if name and not key:
            raise Failed(f"the environment variable {name} with the key is not set")
        prompt = _prompt(job)
        say("started", model=job["model"])
        answer = asyncio.run(_call(job, prompt, key, say))
        say("usage", model=answer.model, tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out, cached=answer.cached)  # fmt: skip
        _deliver(job, answer)
        say("answer", text=answer.text)
        return 0
    except (Failed, OSError, ValueError) as error:
        if isinstance(error, Failed) and error.limit:
            say("limit", words=str(error), reset_at=error.reset_at)
        say("failed", words=str(error) or type(error).__name__)
    return 1


class _Voice:
    """Prints lines of JSON, without the key."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, kind: str, **data: object) -> None:
        for name, value in data.items():
            if isinstance(value, str) and self._key:
                data[name] = value.replace(self._key, "•••")
        print(json.dumps({"model_call": kind, **data}), flush=True)


# -- artifacts ---------------------------------------------------------------------------------


def _prompt(job: Table) -> str:
    """With the artifact that it reads, and, where it is asked again, what it wrote before."""
    parts = [str(job["prompt"]).rstrip()]
    if job.get("input"):
        path = Path(job["input"])
        parts.append(f"The input ({path.name}):\n\n{_read(path)}")
    if job.get("output") and (path := Path(job["output"])).is_file():
        with contextlib.suppress(Failed):
            parts.append(f"What {path.name} holds so far:\n\n{_read(path)}")
    return "\n\n".join(parts)


def _read(path: Path) -> str:
    """A file that an agent left: never a link, a pipe or a device."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Failed(
            f"its input, the artifact {path.name}, can't be read: {error.strerror}"
        ) from None
    with os.fdopen(file, "rb") as opened:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_READ:
            raise Failed(f"its input, {path.name}, is no file of at most {_MOST_READ >> 20} MB")
        return opened.read(_MOST_READ).decode("utf-8", "replace")


def _deliver(job: Table, answer: Answer) -> None:
    if answer.cut:
        raise Failed("the answer was cut at its limit of tokens: raise options.max_tokens")
    if not answer.text.strip():
        raise Failed("the model gave no words")
    if not job.get("output"):
        return
    path = Path(job["output"])
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    with temporary.open("x", encoding="utf-8") as file:
        file.write(answer.text.rstrip("\n") + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


# -- the call ----------------------------------------------------------------------------------


async def _call(job: Table, prompt: str, key: str, say: _Voice) -> Answer:
    tries, pause = max(1, int(job["tries"])), 1.0
    beating = asyncio.create_task(_beat(say))
    timeout = aiohttp.ClientTimeout(total=float(job["timeout"]), sock_connect=30)
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
            for number in range(1, tries + 1):
                try:
                    return await _once(session, job, prompt, key)
                except Again as again:
                    wait = pause if again.pause is None else again.pause
                    if number == tries or wait > _LONGEST_WAIT:
                        raise
                    say("retry", words=f"{again}: try {number + 1} of {tries} in {wait:.0f} s")
                    await asyncio.sleep(wait)
                    pause = min(pause * 2, _LONGEST_WAIT)
    finally:
        beating.cancel()
    raise Failed("it was not tried")  # tries is at least 1


async def _beat(say: _Voice) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(_HEARTBEAT)
        say("waiting", seconds=round(time.monotonic() - began))


async def _once(session: aiohttp.ClientSession, job: Table, prompt: str, key: str) -> Answer:
    anthropic = job["api"] == "anthropic"
    url, body = _request(job, prompt)
    told: Any = {"json": body, "headers": _headers(anthropic, key), "allow_redirects": False}
    try:
        async with session.post(url, **told) as response:
            data = await _taken(response)
            if response.status != 200:
                raise _refusal(response.status, response.headers, data)
    except aiohttp.ConnectionTimeoutError:
        raise Again(f"{url} can't be reached: nobody answers there") from None
    except TimeoutError:
        raise Failed(f"no answer within {job['timeout']} s: see options.timeout") from None
    except aiohttp.ClientError as error:
        raise Again(f"{url} can't be reached ({str(error) or type(error).__name__})") from None
    value = _object(data)
    if not value:
        raise Failed("the model's API gave no JSON object: is options.base_url right?")
    return _anthropic(value, job) if anthropic else _openai(value, job)


def _request(job: Table, prompt: str) -> tuple[str, dict[str, Any]]:
    base = str(job.get("base_url") or _BASES[job["api"]]).rstrip("/")
    messages: list[dict[str, str]] = [{"role": "user", "content": prompt}]
    body: dict[str, Any] = {"model": job["model"]}
    system = job.get("system")
    if job["api"] == "anthropic":
        url = f"{base}/messages" if base.endswith("/v1") else f"{base}/v1/messages"
        body |= {"max_tokens": job.get("max_tokens") or 8192}
        body |= {"system": system} if system else {}
    else:
        url = f"{base}/chat/completions"
        body |= {"max_tokens": job["max_tokens"]} if job.get("max_tokens") else {}
        messages = [{"role": "system", "content": system}, *messages] if system else messages
    if job.get("temperature") is not None:
        body["temperature"] = job["temperature"]
    return url, {**body, "messages": messages, **(job.get("extra") or {})}


def _headers(anthropic: bool, key: str) -> dict[str, str]:
    if not anthropic:
        return {"Authorization": f"Bearer {key}"} if key else {}
    return {"anthropic-version": "2023-06-01"} | ({"x-api-key": key} if key else {})


async def _taken(response: aiohttp.ClientResponse) -> bytes:
    data = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        data += chunk
        if len(data) > _MOST_TAKEN:
            raise Failed(f"the answer is longer than {_MOST_TAKEN >> 20} MB")
    return bytes(data)


def _refusal(status: int, headers: Mapping[str, str], data: bytes) -> Failed:
    """In the provider's own words."""
    error = _object(data).get("error")
    told = error if isinstance(error, dict) else {"message": error}
    text = told.get("message") or data[:300].decode("utf-8", "replace")
    words = f"the model's API refused ({status}): {' '.join(str(text).split())[:500]}"
    if status == 429 and "insufficient_quota" in (told.get("code"), told.get("type")):
        return Failed(words, limit=True)
    if status == 429 or status >= 500 or status in (408, 409):
        return Again(words, _pause(headers), limit=status == 429)
    return Failed(words)


def _pause(headers: Mapping[str, str]) -> float | None:
    """Seconds, as Retry-After says (a number or a date), or the reset of a subscription."""
    told, reset = headers.get("retry-after"), headers.get("anthropic-ratelimit-unified-reset")
    try:
        if told and not told.strip()[:1].isalpha():
            return min(max(0.0, float(told)), 31 * 86_400.0)
        if told:
            return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
        return max(0.0, float(reset) - time.time()) if reset else None
    except (ValueError, OverflowError):
        return None


def _anthropic(value: Table, job: Table) -> Answer:
    blocks = [block for block in _list(value.get("content")) if isinstance(block, dict)]
    text = "".join(str(block.get("text", "")) for block in blocks if block.get("type") == "text")
    used = _table(value.get("usage"))
    cached = _count(used, "cache_read_input_tokens")
    taken = _count(used, "input_tokens") + _count(used, "cache_creation_input_tokens") + cached
    model, cut = str(value.get("model") or job["model"]), value.get("stop_reason") == "max_tokens"
    return Answer(text, model, taken, _count(used, "output_tokens"), cached, cut)


def _openai(value: Table, job: Table) -> Answer:
    choices = _list(value.get("choices"))
    choice = _table(choices[0] if choices else None)
    text = str(_table(choice.get("message")).get("content") or "")
    used = _table(value.get("usage"))
    cached = _count(_table(used.get("prompt_tokens_details")), "cached_tokens")
    taken, given = _count(used, "prompt_tokens"), _count(used, "completion_tokens")
    model, cut = str(value.get("model") or job["model"]), choice.get("finish_reason") == "length"
    return Answer(text, model, taken, given, cached, cut)


def _object(data: bytes) -> Table:
    try:
        return _table(json.loads(data))
    except (ValueError, RecursionError):
        return {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(value: object) -> Table:
    return value if isinstance(value, dict) else {}


def _count(used: Table, name: str) -> int:
    value = used.get(name)
    return value if isinstance(value, int) and 0 <= value < 2**53 else 0


if __name__ == "__main__":
    sys.exit(main())
