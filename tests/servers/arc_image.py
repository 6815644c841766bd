"""What the computing elements of the tests are made of: two releases of ARC that Debian has, with the fork back-end made quick."""

from __future__ import annotations

from tests.servers.debian_root import BUSYBOX_IMAGE, INSTALL, DebianRoot

COMMON_PACKAGES = ("busybox-static", "iptables", "nordugrid-arc-arex", "procps", "python3", "time")
QUICK_FORK = r"""useradd -m -s /bin/bash alice
useradd -m -s /bin/bash bob
cd /usr/share/arc
# A job is seen to have started, and to have been ended, without the pauses that a real cluster needs.
sed -i 's/^    sleep 1$/    sleep 0.05/' submit-fork-job
sed -i 's/^        sleep 5$/        sleep 0.3/' cancel-fork-job
# A-REX starts a scan anew only every ten seconds: this one goes on.
mv scan-fork-job scan-fork-job.once
sed -i 's/^sleep 10$/sleep 0.2/' scan-fork-job.once
cat > scan-fork-job <<'END'
#!/bin/bash
while kill -0 $PPID 2> /dev/null; do /usr/share/arc/scan-fork-job.once "$@"; done
END
chmod 755 scan-fork-job
# The back-end leaves what a job has started running when the job is killed; batch systems do not: a session for each job, ended whole.
sed -i 's/^    "\$1" > "\$2" 2>&1 &$/    setsid "$1" > "$2" 2>\&1 \&/; s/kill -9 \$JOB_ID 2>/kill -9 -- -$JOB_ID 2>/' submit-fork-job
cat > /usr/local/bin/end-sessions <<'END'
#!/bin/bash
for signal in TERM KILL; do
    for child in $(pgrep -P "$1"); do kill -$signal -- -$child; done
    [ $signal = KILL ] || for i in $(seq 50); do pgrep -P "$1" > /dev/null || break; sleep 0.2; done
done
END
chmod 755 /usr/local/bin/end-sessions
sed -i 's,^        kill -TERM \$joboption_jobid$,        /usr/local/bin/end-sessions $joboption_jobid\n&,' cancel-fork-job
"""
PREPARE = INSTALL + BUSYBOX_IMAGE + QUICK_FORK

CURRENT = DebianRoot("arc", "sid", (*COMMON_PACKAGES, "apptainer"), PREPARE)
"""ARC 7.2, and apptainer, which Debian has in no other suite."""
OLDER = DebianRoot("arc", "trixie", COMMON_PACKAGES, PREPARE)
"""ARC 7.0."""
