"""A real ARC computing element in one container of a private Docker engine: A-REX with its REST interface, whose jobs run on the spot.

It trusts one authority for certificates and one issuer of tokens. `alice` comes with a certificate or proxy, `bob` with a token.
"""

from __future__ import annotations

import json
import shlex
import shutil
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import docker
import httpx

from tests.servers.arc_image import CURRENT
from tests.servers.authority import Authority, Issuer
from tests.servers.container import Answers, ServerContainer
from tests.servers.debian_root import DebianRoot
from tests.servers.docker_engine import DockerEngine

HOSTNAME = "ce.test"
PORT = 8443
ISSUER = "https://issuer.test"
RUNTIME_ENVIRONMENT = "TEST/GPU"
NO_OVERLAY = ("/images", "/session", "/tmp")

CONFIGURATION = """\
[common]
hostname = ce.test
x509_host_key = /ce/host.key
x509_host_cert = /ce/host.crt
x509_cert_dir = /ce/certificates
x509_cert_policy = grid
[authgroup:alice]
subject = /O=test/CN=alice
[authgroup:bob]
authtokens = bob https://issuer.test arc * *
[mapping]
map_to_user = alice alice:alice
map_to_user = bob bob:bob
[lrms]
lrms = fork
[arex]
controldir = /var/spool/arc/control
sessiondir = /session
runtimedir = /ce/runtime
logfile = /var/log/arc/arex.log
joblog = /var/log/arc/jobs.log
pidfile = /run/arched-arex.pid
loglevel = INFO
wakeupperiod = 10
maxjobs = -1 @RUNNING@ -1 -1 10
[arex/ws]
wsurl = https://ce.test:8443/arex
logfile = /var/log/arc/ws.log
pidfile = /run/arched-ws.pid
[arex/ws/jobs]
allowaccess = alice
allowaccess = bob
[infosys]
loglevel = WARNING
[infosys/glue2]
[infosys/cluster]
[queue:main]
comment = for everybody
[queue:gpu]
comment = with accelerators
"""
GPU = """\
# As one that sets up a GPU would, it says that it was there.
if [ "x$1" = x1 ]; then export TEST_RUNTIME_ENVIRONMENT="${2:-yes}"; fi
"""
ENTRY = """\
#!/bin/bash
set -e
if command -v apptainer > /dev/null; then apptainer build --sandbox /images/demo /images/busybox; fi
until [ -e /ce/ready ]; do sleep 0.05; done
mkdir -p /var/spool/arc/control/tokenissuers /var/log/arc
cp -r /ce/issuer /var/spool/arc/control/tokenissuers/test
cp /etc/dhparam.pem /var/spool/arc/control/
arcctl rte enable TEST/GPU
/ce/up.sh
# The first process takes up those that lost their parent.
while :; do sleep 60 & wait $!; done
"""
CONTROL = "/var/spool/arc/control"
STRAY_SESSIONS = f"for job in $(ls /session | cut -d. -f1 | sort -u); do find {CONTROL} -name $job.status | grep -q . || echo $job; done"
UP = "#!/bin/sh\nset -e\n/usr/share/arc/arc-arex-start\n/usr/share/arc/arc-arex-ws-start\n"


class ComputingElement(ServerContainer):
    """One CE. `like`: another, whose authority and issuer it trusts too. `session_bytes`: the size of its session directory, if small.

    `running_jobs`: no more of them at a time; the fork back-end would start all of them at once.
    """

    def __init__(
        self,
        engine: DockerEngine,
        release: DebianRoot = CURRENT,
        *,
        like: ComputingElement | None = None,
        session_bytes: int = 0,
        running_jobs: int = 16,
    ) -> None:
        super().__init__(engine, release, Answers(self.answers))
        self.env = {"ARC_CONFIG": "/ce/arc.conf"}
        self._configuration = CONFIGURATION.replace("@RUNNING@", str(running_jobs))
        self._small = {"/session": f"exec,size={session_bytes}"} if session_bytes else {}
        self.authority: Authority = like.authority if like else Authority(self.root / "authority")
        self.issuer: Issuer = like.issuer if like else Issuer(self.root / "issuer", ISSUER)
        self.proxy: Path = like.proxy if like else self.authority.proxy("alice")

    @property
    def url(self) -> str:
        return f"https://{self.address}:{PORT}/arex"

    @property
    def certificates(self) -> Path:
        """The authorities that its users trust."""
        return self.authority.certificates

    def start(self) -> Self:
        """Returns when the REST interface answers."""
        shared = self.root / "ce"
        (shared / "runtime/TEST").mkdir(parents=True)
        shared.chmod(0o755)
        for name, text in (("arc.conf", self._configuration), ("start.sh", ENTRY), ("up.sh", UP), (f"runtime/{RUNTIME_ENVIRONMENT}", GPU)):
            (shared / name).write_text(text)
            (shared / name).chmod(0o755)
        self.run_container(
            ["/ce/start.sh"],
            hostname=HOSTNAME,
            binds={shared: "/ce"},
            no_overlay=[path for path in NO_OVERLAY if path not in self._small],
            tmpfs=self._small,
        )
        self._trust(shared)
        self.wait_until_up()
        return self

    def _trust(self, shared: Path) -> None:
        self.renew_host_certificate()
        shutil.copytree(self.certificates, shared / "certificates", symlinks=True)
        (shared / "issuer").mkdir()
        metadata = json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"})
        for name, text in (("issuer", ISSUER), ("metadata", metadata), ("keys", self.issuer.keys)):
            (shared / "issuer" / name).write_text(text)
        (shared / "ready").touch()

    def renew_host_certificate(self, *, days: int = 2) -> None:
        """For the next start of the services. It has ended already if `days` is negative."""
        certificate, key = self.authority.host(HOSTNAME, self.address, days=days)
        shutil.copy(certificate, self.root / "ce/host.crt")
        shutil.copy(key, self.root / "ce/host.key")
        (self.root / "ce/host.key").chmod(0o400)

    def answers(self) -> bool:
        """Whether it takes jobs, and has published what it is."""
        with suppress(httpx.HTTPError), self.client(self.proxy) as client:
            return client.get("/jobs").is_success and "TotalLogicalCPUs" in client.get("/info").text
        return False

    def client(self, credential: Path) -> httpx.Client:
        """Of the REST interface, with a certificate or proxy: to look at what the plugin did."""
        trust = ssl.create_default_context(cafile=str(self.authority.directory / "ca.crt"))
        trust.load_cert_chain(credential)
        headers = {"Accept": "application/json"}
        return httpx.Client(base_url=f"{self.url}/rest/1.1", verify=trust, headers=headers, timeout=60, trust_env=False)

    def logs(self) -> str:
        with suppress(docker.errors.APIError):
            return super().logs() + self.run("tail -n 20 -q /var/log/arc/*.log", check=False)
        return super().logs()

    def kill(self) -> None:
        """Its services, as a crash; jobs go on."""
        self.run("pkill -KILL -x arched; while pgrep -x arched; do sleep 0.05; done", check=False)

    def restart(self) -> None:
        """Starts the services again."""
        self.run("rm -f /run/arched-*.pid; /ce/up.sh")
        self.wait_until_up()

    def token(self, *, seconds: int = 1200) -> Path:
        """bob's."""
        return self.issuer.token("bob", "bob.token", seconds=seconds, aud="arc", scope="openid")

    def settings(self, *, user: str = "alice") -> Mapping[str, object]:
        """The plugin's settings for this CE, as a user of it."""
        credential = {"credential.token_file": self.token()} if user == "bob" else {"credential.proxy_file": self.proxy}
        return {"ces": {"test": {"url": self.url, "queue": "main"}}, "trust.ca_directory": self.certificates, **credential}

    def jobs_of(self, uid: str) -> list[str]:
        """Files that A-REX keeps of a pod's jobs; where there are none, also session directories of jobs that it no longer knows."""
        name = shlex.quote(f"interlink-{uid}")
        known = self.run(f"grep -rlsF -e {name} {CONTROL} --include=description --include=local", check=False).split()
        return known or self.run(STRAY_SESSIONS).split()

    def version(self) -> str:
        return self.run("/usr/sbin/arched --version").split()[-1]


@contextmanager
def running_ce(release: DebianRoot = CURRENT, **kind: Any) -> Iterator[ComputingElement]:
    """A CE on an engine of its own, and nothing of both afterwards. `kind`: as of ComputingElement."""
    engine = DockerEngine(in_memory=True)
    ce = ComputingElement(engine, release, **kind)
    try:
        engine.start()
        ce.start()
        yield ce
    finally:
        ce.remove()
        engine.remove()
