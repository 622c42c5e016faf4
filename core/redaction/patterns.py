"""What looks like a secret, though nobody told us.

Each pattern is linear: it consumes what it has scanned, or looks only a bounded way ahead.
None but the private key's goes past a line's end; `stream` relies on that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = r"(?<![A-Za-z0-9_-])"  # noqa: S105 - the left border of a token, not a token
_ASSIGN = r"\\?[\"']?[ \t]{0,4}[:=][ \t]{0,4}"
_NO_VALUE = r"(?!(?:os|self|process|env|settings|config)\.|(?:None|null|true|false)\b)"
_VALUE = (
    _NO_VALUE + r"(?:\\?\"([^\"\n]{4,400})\"|\\?'([^'\n]{4,400})'"
    # A backslash before a quote belongs to the JSON around it, not to the value.
    r"|([^\s\"'`$(<{\\](?:[^\s\"'`,;&\\]|\\(?![\"'])){3,}))"
)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """`hints`: lower-case words of which one must occur for the pattern to be tried. Where the
    pattern has groups, the group that matched is the secret; else all of it."""

    hints: tuple[str, ...]
    regex: re.Pattern[str]


def _pattern(hints: str, regex: str, flags: int = 0) -> _Pattern:
    return _Pattern(tuple(hints.split()), re.compile(regex, flags))


_BLOCK = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[^-]|-(?!----)){0,20000}+(-----END [A-Z0-9 ]{0,60}-----)?"
)
_DECIDED_AFTER = 80
"""Characters after which a private key's missing end line will no longer come."""

_PATTERNS = (
    _pattern("bpa_ bpe_", r"bp[ae]_[0-9a-f]{64}"),
    _pattern("ghp_ gho_ ghu_ ghs_ ghr_", r"(?<![A-Za-z0-9])gh[pousr]_[A-Za-z0-9]{20,}"),
    _pattern("github_pat_", r"github_pat_[A-Za-z0-9_]{20,}"),
    _pattern("sk-", _TOKEN + r"sk-(?:ant|proj|svcacct|admin|or)-[A-Za-z0-9_-]{16,}"),
    _pattern("sk-", _TOKEN + r"sk-[A-Za-z0-9]{32,}"),
    _pattern("xox xapp-", _TOKEN + r"(?:xox[a-z]|xapp)[-.][A-Za-z0-9.-]{10,}"),
    _pattern("hooks.slack.com", r"hooks\.slack\.com/[a-z]{1,20}/([A-Za-z0-9/_-]{8,})"),
    _pattern(":", r"(?<![0-9])[0-9]{6,12}:[A-Za-z0-9_-]{30,}"),
    _pattern("akia asia", r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"),
    _pattern("aiza", _TOKEN + r"AIza[A-Za-z0-9_-]{35}"),
    _pattern("glpat-", _TOKEN + r"glpat-[A-Za-z0-9_.-]{16,}"),
    _pattern("npm_", _TOKEN + r"npm_[A-Za-z0-9]{30,}"),
    _pattern("pypi-", _TOKEN + r"pypi-[A-Za-z0-9_-]{32,}"),
    _pattern("hf_", _TOKEN + r"hf_[A-Za-z0-9]{30,}"),
    _pattern("_live_", _TOKEN + r"[rs]k_live_[A-Za-z0-9]{16,}"),
    _pattern("eyj", _TOKEN + r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    _pattern(
        "authorization",
        rf"authorization{_ASSIGN}\\?[\"']?(?:(?:bearer|basic|token|digest)[ \t]{{1,4}})?"
        r"([^\s\"',;\\]{6,})",
        re.IGNORECASE,
    ),
    _pattern("bearer", r"bearer[ \t]{1,4}([A-Za-z0-9._~+/=-]{16,})", re.IGNORECASE),
    _pattern("://", r"://[^\s/@:\"'<>]{0,256}:([^\s/\"'<>]{1,1024})@"),
    _pattern("://", r"://([^\s/@:\"'<>]{16,1024})@"),
    _pattern(
        "password passwd secret token api_key apikey access_key private_key credential",
        r"(?:PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)"
        rf"(?:_[A-Z0-9_]{{1,30}})?{_ASSIGN}{_VALUE}",
    ),
    _pattern(
        "password passwd secret token api_key apikey api-key access_key private_key",
        r"(?:password|passwd|secret|token|api[_-]?key|access_key|private_key)"
        r"\\?[\"']?[ \t]{0,4}[:=][ \t]{0,4}\\?[\"']([^\s\"'\\]{6,})",
        re.IGNORECASE,
    ),
    _pattern(
        "token= key= secret= password= sig= signature=",
        r"[?&](?:[a-z_-]{0,30}(?:token|key|secret|password|signature)|sig)=([^\s&#\"'<>]{4,})",
        re.IGNORECASE,
    ),
)


def pattern_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the text looks like a secret: (start, end), in no order, perhaps overlapping."""
    lowered = text.lower()
    if "-----begin" in lowered:
        yield from (match.span() for match in _BLOCK.finditer(text))
    for pattern in _PATTERNS:
        if any(hint in lowered for hint in pattern.hints):
            for match in pattern.regex.finditer(text):
                yield match.span(match.lastindex or 0)


def open_block(text: str) -> int | None:
    """Where a private key begins whose end may still come; None when there is none."""
    for match in _BLOCK.finditer(text):
        if match[1] is None and len(text) - match.end() < _DECIDED_AFTER:
            return match.start()
    return None
