"""A real Slurm in one container of a private Docker engine: slurmctld, munged, and slurmd as the one node, whose jobs find apptainer."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self

from testcontainers.core.wait_strategies import ExecWaitStrategy

from tests.servers.container import ServerContainer
from tests.servers.debian_root import DebianRoot
from tests.servers.docker_engine import DockerEngine
from tests.servers.slurm_image import CURRENT

HOSTNAME = "node.slurm.test"
NODE_RESPONDS = 'case "$(sinfo --noheader --partition=main --format=%t)" in idle|mix|alloc) ;; *) exit 1 ;; esac'
NO_OVERLAY = ("/images", "/tmp")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost=node
AuthType=auth/munge
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
# Without cgroups, of which a container has none to give away.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
# Quick decisions.
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1,default_queue_depth=500
KillWait=2
MessageTimeout=5
DefMemPerCPU=64
SlurmdParameters=config_overrides
NodeName=node CPUs=32 RealMemory=32768 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=other Nodes=ALL MaxTime=INFINITE State=UP
"""

ENTRY = """\
#!/bin/sh
set -e
if command -v apptainer > /dev/null; then apptainer build --sandbox /images/demo /images/busybox; fi
install -m 0644 /server/slurm.conf /etc/slurm/slurm.conf
printf 'CgroupPlugin=disabled\\n' > /etc/slurm/cgroup.conf
install -d -o munge -g munge -m 0755 /run/munge
install -d /var/spool/slurmctld /var/spool/slurmd /var/log/slurm
[ -e /etc/munge/munge.key ] || setpriv --reuid=munge --regid=munge --clear-groups mungekey --create
setpriv --reuid=munge --regid=munge --clear-groups munged
/server/up.sh
# The first process takes up those that lost their parent.
while :; do sleep 60 & wait $!; done
"""
UP = "#!/bin/sh\nset -e\nslurmctld\nslurmd -N node\n"


class Cluster(ServerContainer):
    """One Slurm. `shared` is a directory that its node has too, under the same path."""

    def __init__(self, engine: DockerEngine, release: DebianRoot = CURRENT) -> None:
        super().__init__(engine, release, ExecWaitStrategy(["sh", "-c", NODE_RESPONDS]))
        self.shared = self.root / "shared"

    def start(self) -> Self:
        """Returns when the node takes jobs."""
        server = self.root / "server"
        for folder in (server, self.shared):
            folder.mkdir(mode=0o755)
        for name, text in (("slurm.conf", CONFIGURATION), ("start.sh", ENTRY), ("up.sh", UP)):
            (server / name).write_text(text)
            (server / name).chmod(0o755)
        binds = {server: "/server:ro", self.shared: str(self.shared)}
        self.run_container(["/server/start.sh"], hostname=HOSTNAME, binds=binds, no_overlay=NO_OVERLAY)
        self.wait_until_up()
        return self

    @property
    def prefix(self) -> list[str]:
        """The words before a command that run it beside the daemons."""
        container = self.get_wrapped_container()
        container.reload()
        return ["nsenter", f"--target={container.attrs['State']['Pid']}", "--all", "--"]

    def settings(self) -> Mapping[str, object]:
        """The plugin's settings for this cluster, without its directory."""
        return {"command_prefix": self.prefix}

    def stop_services(self) -> None:
        """Jobs go on. The controller saves what it knows first: after a crash it may have forgotten the jobs of the last seconds."""
        self.run("pkill -TERM -x slurmctld; pkill -KILL -x slurmd; while pgrep -x 'slurmctld|slurmd'; do sleep 0.05; done")

    def start_services(self) -> None:
        self.run("/server/up.sh")
        self.wait_until_up()

    def logs(self) -> str:
        return super().logs() + self.run("tail -n 20 -q /var/log/slurm/*.log", check=False)

    def jobs_of(self, uid: str) -> list[str]:
        """The jobs of a pod that have not ended."""
        return self.run(f"squeue --noheader --format=%i --name={shlex.quote(f'interlink-{uid}')}").split()


@contextmanager
def running_cluster(release: DebianRoot = CURRENT) -> Iterator[Cluster]:
    """A cluster on an engine of its own, and nothing of both afterwards."""
    engine = DockerEngine(in_memory=True)
    cluster = Cluster(engine, release)
    try:
        engine.start()
        cluster.start()
        yield cluster
    finally:
        cluster.remove()
        engine.remove()
