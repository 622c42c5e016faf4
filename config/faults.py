"""Faults of the configuration in people's words: which file, which key, what instead."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable

from pydantic import BaseModel, ValidationError

from config.settings import Settings
from config.sources import PREFIX, Layers, Path_


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant."""
    return next(iter(difflib.get_close_matches(word, list(words), 1, 0.6)), None)


def unknown(where: str, word: str, words: Iterable[str]) -> str:
    """`where: unknown key; did you mean …?`, or the list of what there is."""
    words = sorted(words)
    near = nearest(word, words)
    hint = f"did you mean {near}?" if near else "there are " + ", ".join(words)
    return f"{where}: unknown key; {hint}"


def explain(
    error: ValidationError,
    layers: Layers,
    model: type[BaseModel] = Settings,
    under: Path_ = (),
) -> list[str]:
    """One line for each fault, in the order of the keys; `model` was read from `under`."""
    return [_line(dict(fault), layers, model, under) for fault in error.errors(include_url=False)]


def _line(
    fault: dict[str, typing.Any], layers: Layers, model: type[BaseModel], under: Path_
) -> str:
    inner = tuple(str(part) for part in fault["loc"] if part != "[key]")
    path = (*under, *inner)
    origin = layers.origin(path)
    if fault["type"] == "extra_forbidden":
        return _unknown_key(origin, path, _keys(model, inner[:-1]))
    return f"{_where(origin, path)}: {_plain(fault['msg'])}"


def _unknown_key(origin: str, path: Path_, known: list[str]) -> str:
    if origin.startswith(PREFIX):
        known = [PREFIX + "__".join((*path[:-1], key)).upper() for key in known]
        return unknown(origin, PREFIX + "__".join(path).upper(), known)
    return unknown(_where(origin, path), path[-1], known)


def _where(origin: str, path: Path_) -> str:
    """A file is followed by the key; a variable says its key by itself."""
    if origin.startswith(PREFIX) or not path:
        return origin
    return f"{origin}: {'.'.join(path)}" if origin else ".".join(path)


def _plain(message: str) -> str:
    message = message.removeprefix("Value error, ").partition(", unable to parse")[0]
    message = message.replace("valid integer", "whole number").replace("valid number", "number")
    message = message.replace("a valid tuple", "a list").replace("a valid dictionary", "a table")
    message = message.replace("Input should be", "must be").replace("Field required", "is missing")
    return message[:1].lower() + message[1:]


def _keys(model: typing.Any, path: Path_) -> list[str]:
    """The keys that the table at `path` below `model` knows."""
    for key in path:
        model = _inside(model, key)
    return list(model.model_fields) if _is_model(model) else []


def _inside(kind: typing.Any, key: str) -> typing.Any:
    """The kind of what stands at `key`: a field, a free name such as `repos.shop`, an item."""
    if not _is_model(kind):
        return next(filter(_is_model, typing.get_args(kind)), None)
    if key in kind.model_fields:
        return kind.model_fields[key].annotation
    extra = typing.get_type_hints(kind).get("__pydantic_extra__")
    return _inside(extra, key) if extra is not None else None


def _is_model(kind: typing.Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
