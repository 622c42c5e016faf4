"""A real Kubernetes for tests: etcd, API server, controllers and scheduler on 127.0.0.1, with a
scripted kubelet (`tests/fakes/kubelet.py`) as the one node. Built by `scripts/k8s_ground.sh`.

One ground serves all tests of a process; all of it ends with the process.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.needs import need

CURRENT = Path(__file__).parent.parent / ".tools/k8s/current"
PARTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
TOKEN = "a-token-of-the-tests"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 90.0
KUBELET = Path(__file__).parent / "fakes/kubelet.py"


@dataclass
class Ground:
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="bpk-")))
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.ports['api']}"

    @property
    def kubeconfig(self) -> str:
        return str(self.folder / "kubeconfig")

    def begin(self) -> Ground:
        self.ports = dict(zip(("etcd", "peer", "api", "kubelet"), _free_ports(4), strict=True))
        self._files()
        self.start_etcd()
        self.start_api()
        for name, more in (
            ("kube-controller-manager", (
                "--port=0", "--secure-port=0", "--node-monitor-grace-period=24h",
                "--feature-gates=TTLAfterFinished=true", "--leader-elect=false",
                "--use-service-account-credentials=false",
                f"--service-account-private-key-file={self.folder}/sa.key")),
            ("kube-scheduler", ("--port=0", "--secure-port=0", "--leader-elect=false")),
        ):  # fmt: skip
            self._run(name, str(CURRENT / name), f"--kubeconfig={self.kubeconfig}", *more)
        self.start_kubelet()
        _until(self._ready, f"the cluster: {self.folder}")
        return self

    def start_etcd(self) -> None:
        url, peer = (f"http://127.0.0.1:{self.ports[name]}" for name in ("etcd", "peer"))
        self._run("etcd", "etcd", "--unsafe-no-fsync", f"--data-dir={self.folder}/etcd",
                  f"--listen-client-urls={url}", f"--advertise-client-urls={url}",
                  f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                  f"--initial-cluster=default={peer}", "--log-level=error")

    def start_api(self) -> None:
        folder = self.folder
        self._run(
            "kube-apiserver", str(CURRENT / "kube-apiserver"), "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1", f"--secure-port={self.ports['api']}",
            f"--cert-dir={folder}/certs", f"--token-auth-file={folder}/tokens.csv",
            f"--etcd-servers=http://127.0.0.1:{self.ports['etcd']}", "--authorization-mode=RBAC",
            f"--service-account-key-file={folder}/sa.key",
            f"--service-account-signing-key-file={folder}/sa.key",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24", "--feature-gates=TTLAfterFinished=true",
            "--kubelet-preferred-address-types=InternalIP", "--shutdown-delay-duration=0",
        )
        _until(self._healthy, f"the API server: {folder}/kube-apiserver.log")

    def start_kubelet(self) -> None:
        self._run("kubelet", sys.executable, str(KUBELET), self.url, TOKEN,
                  str(self.folder / "kubelet"), str(self.ports["kubelet"]))

    def kill(self, name: str) -> None:
        """End one of its parts, at once."""
        process = self.running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        for name in list(self.running)[::-1]:
            process = self.running.pop(name)
            process.send_signal(signal.SIGTERM if name == "kubelet" else signal.SIGKILL)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The API, past the sandbox: for looking, and for what an administrator might do."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, method=method)
        request.add_header("Authorization", f"Bearer {TOKEN}")
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request, context=_unchecked(), timeout=20) as answer:
            return json.loads(answer.read() or b"{}")

    def items(self, kind: str) -> list[Any]:
        """All of that kind in the default namespace: `pods`, `secrets`, `jobs`."""
        group = "/apis/batch/v1" if kind == "jobs" else "/api/v1"
        found: list[Any] = self.ask("GET", f"{group}/namespaces/default/{kind}")["items"]
        return found

    def _files(self) -> None:
        (self.folder / "tokens.csv").write_text(f'{TOKEN},tester,1,"system:masters"\n')
        (self.folder / "kubeconfig").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": self.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }))
        subprocess.run(["openssl", "genrsa", "-out", str(self.folder / "sa.key"), "2048"],
                       check=True, capture_output=True)

    def _run(self, name: str, *argv: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL" if name != "kubelet" else "TERM", *argv],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder,
                env={"PATH": PATH, "HOME": str(self.folder)}, start_new_session=True)

    def _healthy(self) -> bool:
        with contextlib.suppress(OSError, ValueError):
            request = urllib.request.Request(f"{self.url}/healthz")
            request.add_header("Authorization", f"Bearer {TOKEN}")
            with urllib.request.urlopen(request, context=_unchecked(), timeout=5) as answer:
                return bool(answer.read() == b"ok")
        return False

    def _ready(self) -> bool:
        """A node that takes pods, and the account that they run as."""
        with contextlib.suppress(OSError):
            self.ask("GET", "/api/v1/namespaces/default/serviceaccounts/default")
            nodes = self.ask("GET", "/api/v1/nodes")["items"]
            return bool(nodes) and not nodes[0]["spec"].get("taints")
        return False


_ground: list[Ground] = []


def ground() -> Ground:
    """The one of this process; skips the test where it can't be had."""
    built = all((CURRENT / name).exists() for name in PARTS) and shutil.which("etcd", path=PATH)
    need("Kubernetes", bool(built) and os.getuid() == 0, "make test-k8s builds it, as root")
    if not _ground:
        started = Ground()
        atexit.register(started.end)
        _ground.append(started.begin())
    return _ground[0]


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)
