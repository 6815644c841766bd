"""A Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager. All of it lives in one directory.

There is no scheduler unless asked for: pods name their node. There are no nodes either, until somebody brings one (`kubernetes_node`).
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

START_SECONDS = 90.0
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """A server in its own session, with a log; `stop` is orderly, `kill` is not."""

    def __init__(self, name: str, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.name, self.log, self._command, self._env = name, log, command, env
        self.start()

    def start(self) -> None:
        """Begun by the constructor; again after `stop` or `kill`."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, env=self._env
            )  # fmt: skip

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def until(self, ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Returns when `ready`. Raises RuntimeError with the end of the log if the process ended, or that took too long."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running or time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} is not ready:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)


class Cluster:
    """A Kubernetes control plane in a directory."""

    def __init__(self, assets: Path, directory: Path) -> None:
        self._assets, self.directory = assets, directory
        self.port, self._processes = free_port(), list[Process]()
        self.server = f"https://127.0.0.1:{self.port}"
        self.admin = directory / "admin.kubeconfig"

    def start(self, *, scheduler: bool = False, fsync: bool = False) -> None:
        """Returns when pods can be created. `fsync`: etcd writes as carefully as it would for operators. Raises RuntimeError."""
        (self.directory / "log").mkdir(parents=True)
        self._certificates()
        client, peer = free_port(), free_port()
        self._start_etcd(f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}", fsync=fsync)
        self._start_apiserver(f"http://127.0.0.1:{client}")
        self._start_controllers()
        if scheduler:
            self._start_scheduler()

    def close(self) -> None:
        for process in reversed(self._processes):
            process.stop()

    def kubectl(self, *arguments: str, stdin: str | None = None, check: bool = True, seconds: float = 60.0) -> str:
        """Runs kubectl as the administrator; returns its standard output. Raises AssertionError with its complaint."""
        done = self._kubectl(*arguments, stdin=stdin, seconds=seconds)
        if check and done.returncode:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def follow(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts kubectl and lets it run."""
        return subprocess.Popen(self._command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def get(self, *what: str) -> dict[str, Any]:
        """An object as JSON, {} if there is none."""
        done = self._kubectl("get", *what, "-o", "json", "--ignore-not-found")
        return dict(json.loads(done.stdout)) if done.stdout.strip() else {}

    def process(self, name: str, command: list[str], env: dict[str, str] | None = None) -> Process:
        process = Process(name, command, self.directory / "log" / f"{name}.log", env)
        self._processes.append(process)
        return process

    def _kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self._command(*arguments), input=stdin, capture_output=True, text=True, timeout=seconds, check=False)

    def _command(self, *arguments: str) -> list[str]:
        return [str(self._assets / "kubectl"), "--kubeconfig", str(self.admin), *arguments]

    def _start_etcd(self, client: str, peer: str, *, fsync: bool) -> None:
        self.process(
            "etcd",
            [
                str(self._assets / "etcd"), f"--data-dir={self.directory / 'etcd'}", "--log-level=error",
                f"--unsafe-no-fsync={str(not fsync).lower()}",
                f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
            ],
        )  # fmt: skip

    def _start_apiserver(self, etcd: str) -> None:
        pki = self.directory / "pki"
        self.apiserver = self.process(
            "kube-apiserver",
            [
                str(self._assets / "kube-apiserver"), f"--etcd-servers={etcd}", "--bind-address=127.0.0.1",
                f"--secure-port={self.port}", "--endpoint-reconciler-type=none", f"--cert-dir={self.directory / 'certs'}",
                f"--tls-cert-file={pki / 'apiserver.crt'}", f"--tls-private-key-file={pki / 'apiserver.key'}",
                f"--client-ca-file={pki / 'ca.crt'}", f"--service-account-key-file={pki / 'sa.pub'}",
                f"--service-account-signing-key-file={pki / 'sa.key'}", "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=Node,RBAC", "--allow-privileged",
                f"--kubelet-client-certificate={pki / 'admin.crt'}", f"--kubelet-client-key={pki / 'admin.key'}",
                "--kubelet-preferred-address-types=InternalIP",
                f"--proxy-client-cert-file={pki / 'front-proxy.crt'}", f"--proxy-client-key-file={pki / 'front-proxy.key'}",
                f"--requestheader-client-ca-file={pki / 'ca.crt'}", "--requestheader-allowed-names=front-proxy",
                "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
                "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            ],
        )  # fmt: skip
        self.wait_for_apiserver()

    def wait_for_apiserver(self) -> None:
        self.apiserver.until(lambda: self._kubectl("get", "--raw", "/readyz").returncode == 0)

    def _start_controllers(self) -> None:
        pki = self.directory / "pki"
        controllers = self.process(
            "kube-controller-manager",
            [
                str(self._assets / "kube-controller-manager"), f"--kubeconfig={self.admin}", "--leader-elect=false",
                f"--service-account-private-key-file={pki / 'sa.key'}", f"--root-ca-file={pki / 'ca.crt'}", "--secure-port=0",
                f"--flex-volume-plugin-dir={self.directory / 'flexvolume'}", "--kube-api-qps=500", "--kube-api-burst=1000",
            ],
        )  # fmt: skip
        controllers.until(lambda: self._kubectl("get", "serviceaccount", "default", "-n", "default").returncode == 0)

    def _start_scheduler(self) -> None:
        self.process(
            "kube-scheduler",
            [
                str(self._assets / "kube-scheduler"), f"--kubeconfig={self.admin}", "--leader-elect=false", "--secure-port=0",
                "--kube-api-qps=500", "--kube-api-burst=1000",
            ],
        )  # fmt: skip

    def _certificates(self) -> None:
        self.pki.mkdir(mode=0o700)
        self._openssl("req", "-x509", *NEW_KEY, "-days", "2", "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.crt")
        self._openssl("genrsa", "-out", "sa.key", "2048")
        self._openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
        self.issue("apiserver", "/CN=kube-apiserver", "IP:127.0.0.1,IP:10.0.0.1,DNS:localhost,DNS:kubernetes.default.svc")
        self.issue("front-proxy", "/CN=front-proxy")
        self.issue("admin", "/O=system:masters/CN=admin")
        self.kubeconfig("admin", {"client-certificate-data": self._inline("admin.crt"), "client-key-data": self._inline("admin.key")})

    @property
    def pki(self) -> Path:
        """The test CA, and what it has issued."""
        return self.directory / "pki"

    def issue(self, name: str, subject: str, names: str = "") -> None:
        """NAME.crt and NAME.key of the test CA; `names` as in subjectAltName."""
        (self.pki / f"{name}.ext").write_text(f"extendedKeyUsage=serverAuth,clientAuth\n{names and f'subjectAltName={names}'}\n")
        self._openssl("req", *NEW_KEY, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", f"{name}.ext")
        self._openssl("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-out", f"{name}.crt", *signed)

    def kubeconfig(self, name: str, user: dict[str, Any], namespace: str = "default") -> Path:
        """NAME.kubeconfig for a client with those credentials (a `user` of a kubeconfig)."""
        path = self.directory / f"{name}.kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name, "namespace": namespace}}],
            "clusters": [{"name": "test", "cluster": {"server": self.server, "certificate-authority-data": self._inline("ca.crt")}}],
            "users": [{"name": name, "user": user}],
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def _inline(self, name: str) -> str:
        return base64.b64encode((self.pki / name).read_bytes()).decode()

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.pki, check=True, capture_output=True)
