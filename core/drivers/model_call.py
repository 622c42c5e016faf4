"""One call to a model over HTTP, for steps that need no tools: prompt + artifact → artifact."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from core.drivers import known
from core.drivers.common import Deaf, by_result, no_interpreter, own_program
from core.drivers.loose import Table, decoded, number, string
from core.errors import Unclear
from core.model import AgentEvent, AgentEventKind
from core.ports import Brief, Exit, Line, Plan, Verdict

_PROGRAM = "core.drivers.model_call_run"
_FILE = Path(__file__).resolve().with_name("model_call_run.py")
_KEYS = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
_LAST = 2**53


_OPTIONS = {
    "api": known.one_of(*_KEYS),
    "base_url": known.address,
    "key_variable": known.text,
    "model": known.text,
    "max_tokens": known.number,
    "temperature": known.number,
    "system": known.text,
    "timeout": known.number,
    "tries": known.number,
    "extra": known.table,
    "python": known.text,
}


class ModelCallDriver(Deaf):
    """Starts `model_call_run`, which makes the call and outlives the bot like any agent.

    Options: `api` (`anthropic`: the Messages API; `openai`: chat completions, as many servers
    speak them), `base_url`, `key_variable` (which variable of the agent's environment holds the
    key; "" for none), `model` (else the agent's), `max_tokens`, `temperature`, `system`,
    `timeout` (seconds; 600), `tries` (on 429 and 5xx; 4), `extra` (a table of further fields
    of the request), `python` (the interpreter, with Bullpen installed, where the bot's own
    isn't in the sandbox). What is sent back is told whole: prompt, answer and reason.
    """

    name = "model"
    can_resume = False
    reports_tools = False
    structured = True

    def faults(self, options: Mapping[str, Any], given: Collection[str]) -> Sequence[str]:
        found = known.faults(options, _OPTIONS)
        if found:
            return found
        key = options.get("key_variable", _KEYS[options.get("api", "anthropic")])
        return (
            (f'environment: has no {key}, the key of its calls (options.key_variable = "": none)',)
            if key and key not in given
            else ()
        )

    def missing(self, options: Mapping[str, Any], here: bool = True) -> str | None:
        lacking = "The library for HTTP is missing: pip install aiohttp"
        return no_interpreter(options, "aiohttp", lacking) if here else None

    def plan(self, brief: Brief) -> Plan:
        """Raises Unclear for options that can't be read, and where no model is named."""
        if brief.interactive:
            raise Unclear("A model call has no talk at a terminal: it is one question, one answer.")
        argv, readable = own_program(brief.options, _PROGRAM, _FILE, _FILE)
        job = msgspec.json.encode(_job(brief))
        return Plan(argv=argv, first_input=job, readable=readable)

    def parse(self, line: Line) -> Sequence[AgentEvent]:
        value = decoded(line)
        translate = _TRANSLATE.get(string(value.get("model_call")))
        return translate(value) if translate else (AgentEvent(AgentEventKind.TEXT, line.text),)

    def verdict(self, last: AgentEvent | None, end: Exit | None) -> Verdict:
        return by_result(last, end)


def _job(brief: Brief) -> dict[str, Any]:
    options = brief.options
    api = str(options.get("api", "anthropic"))
    if api not in _KEYS:
        raise Unclear(f'options.api is "anthropic" or "openai"; {api!r} is neither.')
    model = brief.model or options.get("model")
    if not model:
        raise Unclear('A model call needs its model: model = "…" for the agent in agents.toml.')
    extra = options.get("extra", {})
    if not isinstance(extra, Mapping):
        raise Unclear("options.extra must be a table of fields of the request.")
    system = [str(options.get("system") or ""), brief.instructions]
    return {
        "api": api,
        "base_url": str(options.get("base_url") or ""),
        "key_variable": str(options.get("key_variable", _KEYS[api])),
        "model": str(model),
        "system": "\n\n".join(words.strip() for words in system if words.strip()),
        "prompt": brief.prompt,
        "input": str(brief.input) if brief.input else None,
        "output": str(brief.output) if brief.output else None,
        "max_tokens": int(_amount(options, "max_tokens", 0)),
        "temperature": _amount(options, "temperature", None),
        "timeout": _amount(options, "timeout", 600),
        "tries": int(_amount(options, "tries", 4)),
        "extra": extra,
    }


def _amount(options: Mapping[str, Any], name: str, usual: float | None) -> Any:
    value = options.get(name, usual)
    if isinstance(value, bool) or not (value is usual or isinstance(value, int | float)):
        raise Unclear(f"options.{name} must be a number, not {value!r}.")
    if value is not None and not 0 <= value < _LAST:
        raise Unclear(f"options.{name} must be a number from 0 up, not {value!r}.")
    return value


# -- its lines ---------------------------------------------------------------------------------

_Events = tuple[AgentEvent, ...]


def _started(value: Table) -> _Events:
    model = string(value.get("model"))
    data = {"driver_session": None, "model": model or None}
    return (AgentEvent(AgentEventKind.STARTED, f"Asks {model}", data),)


def _usage(value: Table) -> _Events:
    counts = ("tokens_in", "tokens_out", "cached")
    data = {name: int(number(value.get(name))) for name in counts}
    used = {**data, "model": string(value.get("model")) or None}
    return (AgentEvent(AgentEventKind.USAGE, "", used),)


def _limit(value: Table) -> _Events:
    reset = int(number(value.get("reset_at"))) or None
    words = string(value.get("words"))
    return (AgentEvent(AgentEventKind.LIMIT, words, {"reset_at": reset}),)


def _failed(value: Table) -> _Events:
    words = string(value.get("words")) or "the model call failed"
    return (
        AgentEvent(AgentEventKind.ERROR, words),
        AgentEvent(AgentEventKind.FINISHED, "", {"ok": False, "error": words}),
    )


def _answer(value: Table) -> _Events:
    text = string(value.get("text"))
    return (
        AgentEvent(AgentEventKind.TEXT, text),
        AgentEvent(AgentEventKind.FINISHED, text, {"ok": True, "error": None}),
    )


_TRANSLATE: Mapping[str, Callable[[Table], _Events]] = {
    "started": _started,
    "retry": lambda value: (AgentEvent(AgentEventKind.TEXT, string(value.get("words"))),),
    "waiting": lambda value: (),
    "usage": _usage,
    "limit": _limit,
    "failed": _failed,
    "answer": _answer,
}
