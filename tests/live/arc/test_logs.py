"""Logs that are read from the session directory: live, whole, and never read twice."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from tests.live.arc.site import Site, exit_code

pytestmark = pytest.mark.timeout(240)

LINES = 120_000
"""Some 12 MiB of the stream."""


async def test_a_line_is_seen_while_the_container_runs(site: Site) -> None:
    pod = await site.start("for n in 1 2 3; do echo line $n; sleep 1; done; sleep 600")
    await site.running(pod)
    stream = site.client.logs(pod, "main", follow=True)
    seen = b""
    async for chunk in stream:
        seen += chunk
        if seen.count(b"\n") == 3:
            break
    assert seen == b"line 1\nline 2\nline 3\n"
    assert await site.client.read_logs(pod, "main", tail=1) == "line 3\n"


async def test_a_log_that_nobody_followed_is_read_when_it_is_asked_for(site: Site) -> None:
    pod = await site.start("echo early; sleep 4; echo late; sleep 600")
    await site.running(pod)
    await asyncio.sleep(4)
    await site.logged(pod, "early\nlate\n")


async def test_a_large_log_is_whole_and_every_byte_is_read_once(site: Site) -> None:
    pod = await site.start(f"yes 0123456789 | head -n {LINES} | awk '{{ print NR, $0 }}'; echo unended | tr -d '\\n'; exit 3")
    await site.ended(pod)
    assert exit_code(pod) == 3
    expected = "".join(f"{number} 0123456789\n" for number in range(1, LINES + 1)) + "unended"
    got = await site.client.read_logs(pod, "main")
    assert hashlib.sha256(got.encode()).digest() == hashlib.sha256(expected.encode()).digest()
    logged = (site.plugin.state / "pods" / pod.uid / "log").glob("*")
    assert sum(path.stat().st_size for path in logged) < 1.5 * (LINES * 110)


async def test_previous_and_init_containers(site: Site) -> None:
    init = {"name": "init", "image": "busybox:1.36", "command": ["sh", "-c", "echo of init"]}
    script = "echo attempt; [ -e /w/again ] && exit 0; touch /w/again; exit 9"
    mounts = [{"name": "w", "mountPath": "/w"}]
    pod = await site.start(
        script,
        initContainers=[init],
        restartPolicy="OnFailure",
        container={"volumeMounts": mounts},
        volumes=[{"name": "w", "emptyDir": {}}],
    )
    await site.ended(pod)
    status = pod.container_status("main")
    assert (pod.phase, status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == ("Succeeded", 1, 9)
    assert await site.client.read_logs(pod, "main", previous=True) == "attempt\n"
    assert await site.client.read_logs(pod, "init") == "of init\n"


async def test_bytes_that_are_no_text(site: Site) -> None:
    pod = await site.start("printf '\\377\\000\\n\\342\\202\\n'")
    await site.ended(pod)
    got = b"".join([chunk async for chunk in site.client.logs(pod, "main")])
    assert got == b"\xff\x00\n\xe2\x82\n"
