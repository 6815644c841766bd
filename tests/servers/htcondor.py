"""A real HTCondor pool in one container of a private Docker engine: central manager, schedd and one execute slot.

`site`, `alice` and `bob` may submit with tokens. Tests reach the daemons over the engine's bridge.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from testcontainers.core.wait_strategies import ExecWaitStrategy

from tests.servers.container import ServerContainer
from tests.servers.debian_root import DebianRoot
from tests.servers.docker_engine import DockerEngine
from tests.servers.htcondor_image import CURRENT

HOSTNAME = "cm.pool.test"
USERS = ("site", "alice", "bob")
IN_COLLECTOR = """\
known=" $(condor_status -any -af MyType | tr '\\n' ' ')"
for daemon in Scheduler Machine Negotiator; do case "$known" in *" $daemon "*) ;; *) exit 1 ;; esac; done
"""

NO_OVERLAY = ("/images", "/tmp", "/var/lib/condor")

CONFIGURATION = """\
CONDOR_HOST = cm.pool.test
UID_DOMAIN = pool.test
FILESYSTEM_DOMAIN = pool.test
TRUST_DOMAIN = pool.test
use ROLE: CentralManager
use ROLE: Submit
use ROLE: Execute
NUM_CPUS = 32
MEMORY = 32768
ALLOW_ADMINISTRATOR = condor@pool.test root@pool.test
EVENT_LOG = /evlog/EventLog
EVENT_LOG_MAX_SIZE = 100000000
use FEATURE: GPUs
# Two simulated A100s and two cards by name: matched as real ones, without any hardware.
GPU_DISCOVERY_EXTRA = -extra -simulate:4,2
MACHINE_RESOURCE_FPGAs = fpga0, fpga1
HAS_CVMFS_atlas_cern_ch = true
STARTD_ATTRS = $(STARTD_ATTRS) HAS_CVMFS_atlas_cern_ch
STARTER_ALLOW_RUNAS_OWNER = true
# Quick decisions; the default settings negotiate once a minute.
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_MIN_INTERVAL = 0
NEGOTIATOR_CYCLE_DELAY = 0
SCHEDD_INTERVAL = 1
SCHEDD_MIN_INTERVAL = 0
UPDATE_INTERVAL = 5
MASTER_UPDATE_INTERVAL = 5
NEGOTIATOR_UPDATE_INTERVAL = 5
POLLING_INTERVAL = 1
PERIODIC_EXPR_INTERVAL = 2
MASTER_BACKOFF_CEILING = 2
MASTER_BACKOFF_CONSTANT = 1
CLASSAD_LIFETIME = 60
JOB_START_DELAY = 0
RunBenchmarks = 0
MAIL = /bin/true
"""

ENTRY = """\
#!/bin/sh
set -e
umask 077
install -d -m 0700 /etc/condor/passwords.d /etc/condor/tokens.d
install -m 0600 /pool/POOL /etc/condor/passwords.d/POOL
umask 022
install -m 0644 /pool/99-pool.conf /etc/condor/config.d/
for user in site alice bob; do useradd -m -s /bin/bash "$user"; done
install -d -o condor -g condor /var/lock/condor /var/spool/condor /var/lib/condor /var/log/condor /run/condor
install -d -o condor -g condor -m 0755 /var/lib/condor/execute
if command -v apptainer > /dev/null; then apptainer build --sandbox /images/demo /images/busybox; fi
exec condor_master -f
"""
"""/images/demo is what apptainer makes of a container image: it knows how to set an environment in it."""

NON_ROOT_CONFIGURATION = """\
use SECURITY: recommended
LOCAL_DIR = /home/site/pool
RELEASE_DIR = /usr
LIBEXEC = /usr/libexec/condor
LIB = /usr/lib/condor
SHARE = /usr/share/condor
RUN = $(LOCAL_DIR)/run
LOCK = $(LOCAL_DIR)/lock
LOG = $(LOCAL_DIR)/log
EXECUTE = $(LOCAL_DIR)/execute
SPOOL = $(LOCAL_DIR)/spool
SEC_PASSWORD_DIRECTORY = $(LOCAL_DIR)/passwords.d
SEC_TOKEN_DIRECTORY = $(LOCAL_DIR)/tokens.d
ALLOW_DAEMON = condor@* condor_pool@* site@*
SCHEDD_NAME = cm.pool.test
"""

NON_ROOT_ENTRY = """\
#!/bin/sh
set -e
useradd -m -s /bin/bash site
install -d -m 0777 /evlog
exec setpriv --reuid=site --regid=site --clear-groups env HOME=/home/site sh -ec '
    cd; umask 077
    for part in run lock log execute spool passwords.d tokens.d; do mkdir -p "pool/$part"; done
    chmod 755 /home/site pool pool/execute
    cat /pool/POOL > pool/passwords.d/POOL
    umask 022
    CONDOR_CONFIG=/pool/99-pool.conf exec condor_master -f'
"""


class Pool(ServerContainer):
    """One pool. `extra`: more lines of its configuration. `non_root`: every daemon is the user site's, as on a pool without privileges."""

    def __init__(self, engine: DockerEngine, release: DebianRoot = CURRENT, *, extra: str = "", non_root: bool = False) -> None:
        super().__init__(engine, release, ExecWaitStrategy(["sh", "-c", IN_COLLECTOR]))
        self.event_log = self.root / "evlog/EventLog"
        self._configuration = (NON_ROOT_CONFIGURATION if non_root else "") + CONFIGURATION + extra
        self._entry = NON_ROOT_ENTRY if non_root else ENTRY
        if non_root:
            self.user, self.env = "site", {"CONDOR_CONFIG": "/pool/99-pool.conf"}

    def start(self) -> Self:
        """Returns when the schedd and the slot are in the collector."""
        pool, log = self.root / "pool", self.event_log.parent
        for folder, mode in ((pool, 0o755), (log, 0o777)):
            folder.mkdir()
            folder.chmod(mode)
        (pool / "POOL").write_text(secrets.token_urlsafe(48))
        (pool / "99-pool.conf").write_text(self._configuration)
        (pool / "start.sh").write_text(self._entry)
        binds = {pool: "/pool:ro", log: "/evlog"}
        self.run_container(["sh", "/pool/start.sh"], hostname=HOSTNAME, binds=binds, no_overlay=NO_OVERLAY)
        self.wait_until_up()
        return self

    def token(self, user: str, path: Path) -> Path:
        """A token of a user of the pool, as a file 0600."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        said = self.run(f"condor_token_create -identity {user}@pool.test -key POOL")
        path.touch(mode=0o600)
        path.write_text(said.strip() + "\n")
        return path

    def settings(self, directory: Path, user: str = "site") -> Mapping[str, object]:
        """The plugin's settings for this pool, with a token in `directory`."""
        return {
            "pool.collector": self.address,
            "pool.schedd": HOSTNAME,
            "credential.token_file": self.token(user, directory / f"{user}.token"),
        }

    def kill(self, daemon: str) -> None:
        """As a crash; condor_master starts it again."""
        self.run(f"pkill -KILL -x {daemon}")

    def spooled(self) -> list[str]:
        """Spool directories of jobs."""
        return self.run("cd $(condor_config_val SPOOL) && find . -name 'cluster*.subproc*' -maxdepth 4").split()

    def version(self) -> str:
        return self.run("condor_version").split()[1]


@contextmanager
def running_pool(release: DebianRoot = CURRENT, *, extra: str = "", non_root: bool = False) -> Iterator[Pool]:
    """A pool on an engine of its own, and nothing of both afterwards."""
    engine = DockerEngine(in_memory=True)
    pool = Pool(engine, release, extra=extra, non_root=non_root)
    try:
        engine.start()
        pool.start()
        yield pool
    finally:
        pool.remove()
        engine.remove()
