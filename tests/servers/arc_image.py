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
# The back-end leaves running what a killed job had started. As batch systems do: a session for each job, that is ended whole.
cat > /usr/local/bin/end-session <<'END'
#!/bin/bash
kill -TERM -- -$1
for _ in $(seq 50); do kill -0 -- -$1 || exit 0; sleep 0.2; done
kill -KILL -- -$1
END
chmod 755 /usr/local/bin/end-session
sed -i 's,^    "$1" > "$2" 2>&1 &$,    setsid "$1" > "$2" 2>\&1 \&,' submit-fork-job
sed -i 's,kill -9 $JOB_ID 2>,/usr/local/bin/end-session $JOB_ID 2>,' submit-fork-job
sed -i 's,^        kill -TERM $joboption_jobid$,        /usr/local/bin/end-session $(pgrep -P $joboption_jobid)\n&,' cancel-fork-job
# Parameters of a well-known group, in place of some that take minutes to make.
openssl genpkey -genparam -algorithm DH -pkeyopt group:ffdhe2048 -out /etc/dhparam.pem
"""
PREPARE = INSTALL + BUSYBOX_IMAGE + QUICK_FORK

CURRENT = DebianRoot("arc", "sid", (*COMMON_PACKAGES, "apptainer"), PREPARE)
"""ARC 7.2, and apptainer, which Debian has in no other suite."""
OLDER = DebianRoot("arc", "trixie", COMMON_PACKAGES, PREPARE)
"""ARC 7.0."""
