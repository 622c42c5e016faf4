"""An attempt as a Job and its Secret. Only fields that Kubernetes 1.20 knows as well as today's."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from core.errors import Broken
from core.ports import Order
from core.sandboxes.afar import CARRIER, WRAP_UP
from core.sandboxes.carried import Carried

Json = dict[str, Any]
CARGO = "/bullpen"
"""Where a pod finds the carrier and its freight."""
LARGEST = 900_000
"""Bytes of a Secret; the cluster's limit is 1 MiB."""
SLACK = 900.0
"""Seconds beside the wall time that the cluster gives: for the image, the code, the way home."""
TTL = 86_400.0
_TO_NAME = re.compile(r"[^a-z0-9]+")
_LABEL = re.compile(r"[^A-Za-z0-9._-]+")
OFFLINE = "bullpen-offline"


def name_of(folder: Path) -> str:
    """The Job's name, from the attempt's folder alone: the data folder, session and number."""
    words = _TO_NAME.sub("-", "-".join(folder.parts[-3:]).lower()).strip("-")[-30:].strip("-")
    digest = hashlib.sha256(str(folder.absolute()).encode("utf-8", "surrogateescape"))
    return f"bullpen-{words}-{digest.hexdigest()[:12]}"


def secret(name: str, order: Order, freight: bytes, shown: Sequence[Carried]) -> Json:
    """What the pod must know and nobody else: the freight with the token, and the credentials that
    are `shown` to it."""
    data = {"freight": freight, "carrier.py": CARRIER.read_bytes()}
    data |= {_key(n): one.data for n, one in enumerate(shown)}
    size = sum(map(len, data.values()))
    if size > LARGEST:
        raise Broken(f"what the agent is given has {size} bytes: a cluster takes {LARGEST}")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": labels(order)},
        "type": "Opaque",
        "data": {key: base64.b64encode(value).decode("ascii") for key, value in data.items()},
    }


def owned(manifest: Json, job: Json) -> Json:
    """The same, to go with its Job."""
    owner = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job["metadata"]["name"],
        "uid": job["metadata"]["uid"],
    }
    return {**manifest, "metadata": {**manifest["metadata"], "ownerReferences": [owner]}}


def job(name: str, order: Order, rooms: Sequence[str], shown: Sequence[Carried]) -> Json:
    """The Job: one pod, once."""
    table = order.container
    spec: Json = {
        "backoffLimit": 0,
        "completions": 1,
        "parallelism": 1,
        "ttlSecondsAfterFinished": round(float(table.get("ttl") or TTL)),
        "template": {
            "metadata": {"labels": labels(order)},
            "spec": _pod(name, order, rooms, shown),
        },
    }
    if order.wall_time is not None:
        spec["activeDeadlineSeconds"] = round(order.wall_time + order.grace + WRAP_UP + SLACK)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels(order)},
        "spec": spec,
    }


def labels(order: Order) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "bullpen",
        "bullpen/session": _label(order.session_id),
        "bullpen/attempt": str(order.number),
        "bullpen/network": "off" if order.network == "off" else "on",
    }


def _pod(name: str, order: Order, rooms: Sequence[str], shown: Sequence[Carried]) -> Json:
    table = order.container
    spaces = [*rooms, *([] if _within("/tmp", rooms) else ["/tmp"])]  # noqa: S108 - in the pod
    volumes: list[Json] = [{"name": f"room-{n}", "emptyDir": {}} for n in range(len(spaces))]
    volumes.append({"name": "cargo", "secret": {"secretName": name}})
    seen: list[Json] = [{"name": f"room-{n}", "mountPath": path} for n, path in enumerate(spaces)]
    seen.append({"name": "cargo", "mountPath": CARGO, "readOnly": True})
    seen += [
        {"name": "cargo", "mountPath": str(one.target), "subPath": _key(n), "readOnly": True}
        for n, one in enumerate(shown)
    ]
    pod: Json = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": round(order.grace + WRAP_UP),
        "securityContext": {**_user(table), "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(order, table, seen)],
        "volumes": volumes,
    }
    if table.get("service_account"):
        pod["serviceAccountName"] = table["service_account"]
    if table.get("node_selector"):
        pod["nodeSelector"] = dict(table["node_selector"])
    return pod


def _container(order: Order, table: Mapping[str, Any], seen: list[Json]) -> Json:
    python = str(table.get("python") or "python3")
    container: Json = {
        "name": "agent",
        "image": table["image"],
        "command": [python, "-I", "-S", f"{CARGO}/carrier.py", f"{CARGO}/freight"],
        "env": [
            {
                "name": "BULLPEN_HOLDER",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}},
            }
        ],
        "volumeMounts": seen,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        },
    }
    amounts: dict[str, str] = {}
    if order.memory is not None:
        amounts["memory"] = str(order.memory)
    if table.get("cpus"):
        amounts["cpu"] = f"{round(float(table['cpus']) * 1000)}m"
    if amounts:
        container["resources"] = {"limits": amounts, "requests": amounts}
    return container


def _user(table: Mapping[str, Any]) -> Json:
    """Whom it runs as; none given: whom the image says."""
    user, _, group = str(table.get("user") or "").partition(":")
    if not user:
        return {}
    found: Json = {"runAsUser": int(user), "runAsNonRoot": int(user) != 0}
    if group:
        found |= {"runAsGroup": int(group), "fsGroup": int(group)}
    return found


def _key(number: int) -> str:
    """Of a credential in the Secret."""
    return f"mount-{number}"


def offline(url: str) -> Json:
    """Lets pods without network reach nothing but Bullpen's own address (and names, where it is
    one). It counts where the cluster's network enforces policies."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = parts.hostname or ""
    door: Json = {"ports": [{"port": port, "protocol": "TCP"}]}
    names: list[Json] = []
    if re.fullmatch(r"[0-9.]+", host):
        door["to"] = [{"ipBlock": {"cidr": f"{host}/32"}}]
    elif ":" in host:
        door["to"] = [{"ipBlock": {"cidr": f"{host}/128"}}]
    else:
        names = [{"ports": [{"port": 53, "protocol": kind} for kind in ("UDP", "TCP")]}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": OFFLINE, "labels": {"app.kubernetes.io/managed-by": "bullpen"}},
        "spec": {
            "podSelector": {"matchLabels": {"bullpen/network": "off"}},
            "policyTypes": ["Ingress", "Egress"],
            "egress": [door, *names],
        },
    }


def _within(path: str, rooms: Sequence[str]) -> bool:
    return any(Path(path).is_relative_to(room) for room in rooms)


def _label(value: str) -> str:
    return _LABEL.sub("-", value)[:63].strip("-._") or "none"
