"""What a Job's pods say about an attempt. Pure: from the cluster's words to ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from core.ports import Exit
from core.sandboxes.output import clean

Json = dict[str, Any]
HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError",
                      "CreateContainerError", "RunContainerError"})  # fmt: skip
TAKEN = 75
"""The carrier's exit status where another place has the attempt (`carrier.py`)."""
PULLING = frozenset({"ErrImagePull", "ImagePullBackOff"})


def is_over(pod: Json) -> bool:
    """Whether its container has ended for good, or never ran and never will."""
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def has_logs(pod: Json) -> bool:
    """Whether its container has begun."""
    state = _state(pod)
    return "running" in state or "terminated" in state


def worker(pods: Sequence[Json]) -> Json | None:
    """The pod that holds the attempt: not one that found it taken; the first of the rest."""
    found = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    able = [pod for pod in found if _state(pod).get("terminated", {}).get("exitCode") != TAKEN]
    return next(iter(able or found), None)


def stuck(pod: Json) -> str | None:
    """Why it has not begun, in one line; None where nothing is wrong (yet)."""
    if has_logs(pod) or is_over(pod):
        return None
    waiting = _state(pod).get("waiting", {})
    reason, words = waiting.get("reason", ""), _line(waiting.get("message", ""))
    image = pod["spec"]["containers"][0]["image"]
    if reason in PULLING or reason in ("InvalidImageName", "ErrImageNeverPull"):
        return f"the image {image} can't be pulled: {words or reason}"
    if reason in HOPELESS:
        return f"the container can't be made: {words or reason}"
    for condition in pod["status"].get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"no node takes it: {_line(condition.get('message', ''))}"
    return None


def is_hopeless(pod: Json) -> bool:
    """Whether waiting won't help."""
    return _state(pod).get("waiting", {}).get("reason", "") in HOPELESS


def ending(pod: Json | None, job: Json | None) -> Exit:
    """How it ended, as far as the cluster knows: when no carrier has told."""
    if _condition(job, "DeadlineExceeded"):
        return Exit(reason="wall_time", error="the cluster ended it: the Job's deadline was over")
    if pod is None or _state(pod).get("terminated", {}).get("exitCode") == TAKEN:
        return Exit(reason="gone", error="its pod was deleted, or its node is gone")
    status, ended = pod["status"], _state(pod).get("terminated", {})
    if ended.get("reason") == "OOMKilled":
        return Exit(reason="memory", error="it was killed for using more memory than it may")
    if status.get("reason"):
        words = _line(status.get("message", "")) or status["reason"]
        return Exit(reason="gone", error=f"{status['reason'].lower()}: {words}")
    if not ended:
        return Exit(reason="gone", error="its pod was deleted, or its node is gone")
    words = _line((ended.get("message") or "").strip().splitlines()[-1:])
    code = ended.get("exitCode")
    told = f"the carrier ended with status {code}" + (f": {words}" if words else "")
    return Exit(reason="gone", error=told)


def is_finished(job: Json) -> bool:
    """Whether the Job makes no more pods."""
    return any(
        one.get("type") in ("Complete", "Failed") and one.get("status") == "True"
        for one in job["status"].get("conditions", ())
    )


def _condition(job: Json | None, reason: str) -> bool:
    conditions = job["status"].get("conditions", ()) if job else ()
    return any(condition.get("reason") == reason for condition in conditions)


def _state(pod: Json) -> Json:
    statuses = pod["status"].get("containerStatuses") or [{}]
    state: Json = statuses[0].get("state") or {}
    return state


def _line(words: object) -> str:
    text = words[0] if isinstance(words, list) and words else words or ""
    return clean(" ".join(str(text).split()))[:300]
