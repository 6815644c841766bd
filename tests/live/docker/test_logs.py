"""kubectl's log options on a real engine's logs."""

from __future__ import annotations

import asyncio
import re
import time

from tests.live.docker.node import Node, a_pod, shell

STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z ")
LONG = "head -c 50000 /dev/zero | tr '\\0' x; echo"


async def test_both_streams_and_odd_bytes(node: Node) -> None:
    pod = a_pod(shell("printf 'a\\033\\000b\\r\\n'; sleep 0.2; echo err >&2; sleep 0.2; printf end"))
    await node.run(pod)
    assert b"".join([chunk async for chunk in node.log_stream(pod)]) == b"a\x1b\x00b\r\nerr\nend"


async def test_a_line_longer_than_the_engines_buffer_comes_out_whole(node: Node) -> None:
    pod = a_pod(shell(f"echo before; {LONG}; echo after"))
    await node.run(pod)
    log = (await node.log(pod)).splitlines()
    assert [(line[0], len(line)) for line in log] == [("b", 6), ("x", 50000), ("a", 5)]
    stamped = b"".join([chunk async for chunk in node.log_stream(pod, timestamps=True)]).splitlines()
    assert [len(STAMP.findall(line)) for line in stamped] == [1, 1, 1]
    assert [len(STAMP.sub(b"", line)) for line in stamped] == [6, 50000, 5]
    assert [len(line) for line in (await node.log(pod, tail_lines=2)).splitlines()] == [50000, 5]
    assert len(await node.log(pod, tail_lines=1)) == 6
    assert len(await node.log(pod, tail_lines=10)) == 50014


async def test_tail(node: Node) -> None:
    pod = a_pod(shell("seq 1 1000"))
    await node.run(pod)
    for lines in (1, 10, 999, 1000, 2000, 20_000):
        expected = [str(number) for number in range(max(1001 - lines, 1), 1001)]
        assert (await node.log(pod, tail_lines=lines)).split() == expected
    assert await node.log(pod, tail_lines=0) == ""


async def test_a_followed_log_that_reached_its_limit_is_no_lost_engine(node: Node) -> None:
    pod = a_pod(shell("echo 123456789; sleep 600"))
    await node.running(pod)
    assert await node.log(pod, follow=True, limit_bytes=4) == "1234"


async def test_limit_bytes_keeps_the_first(node: Node) -> None:
    pod = a_pod(shell("echo 123456789"))
    await node.run(pod)
    assert await node.log(pod, limit_bytes=4) == "1234"
    assert await node.log(pod, limit_bytes=4, tail_lines=1) == "1234"
    assert await node.log(pod, limit_bytes=400) == "123456789\n"


async def test_since(node: Node) -> None:
    pod = a_pod(shell("echo old; sleep 2; echo new"))
    await node.run(pod)
    stamped = b"".join([chunk async for chunk in node.log_stream(pod, timestamps=True)]).split(b"\n")
    whole, fraction = stamped[1].split(b" ")[0].rstrip(b"Z").split(b".")
    new_ns = int(time.mktime(time.strptime(whole.decode() + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.timezone) * 10**9 + int(fraction)
    assert await node.log(pod, since_ns=new_ns) == "new\n"
    assert await node.log(pod, since_ns=new_ns, tail_lines=5) == "new\n"
    assert await node.log(pod, since_ns=new_ns - 10**9, tail_lines=1) == "new\n"
    assert await node.log(pod, since_ns=new_ns + 10**9) == ""


async def test_follow_ends_with_the_container(node: Node) -> None:
    pod = a_pod(shell("echo one; sleep 4; echo two"))
    await node.running(pod)
    assert await node.log(pod, follow=True) == "one\ntwo\n"


async def test_follow_ends_with_the_pod(node: Node) -> None:
    pod = a_pod(shell("echo one; sleep 600"), grace_seconds=1)
    await node.running(pod)
    following = asyncio.create_task(node.log(pod, follow=True, tail_lines=1))
    await asyncio.sleep(0.5)
    await node.delete(pod)
    assert await following == "one\n"


async def test_a_follower_that_leaves_is_forgotten(node: Node) -> None:
    pod = a_pod(shell("while :; do echo x; sleep 0.01; done"), grace_seconds=1)
    await node.running(pod)
    before = len(asyncio.all_tasks())
    stream = node.log_stream(pod, follow=True)
    assert (await anext(aiter(stream))).startswith(b"x\n")
    await stream.aclose()  # type: ignore[attr-defined]  # a generator, in fact
    assert len(asyncio.all_tasks()) <= before + 1


async def test_init_containers_have_logs(node: Node) -> None:
    pod = a_pod(shell("true"), init_containers=(shell("echo from init", "setup"),))
    await node.run(pod)
    assert await node.log(pod, "setup") == "from init\n"


async def test_lines_of_a_tty(node: Node) -> None:
    pod = a_pod(shell(f"echo before; {LONG}; echo after; printf end", tty=True))
    await node.run(pod)
    whole = "before\r\n" + "x" * 50000 + "\r\nafter\r\nend"
    assert await node.log(pod) == whole
    stamped = b"".join([chunk async for chunk in node.log_stream(pod, timestamps=True)]).splitlines()
    assert [len(STAMP.findall(line)) for line in stamped] == [1, 1, 1, 1]
    assert [len(STAMP.sub(b"", line)) for line in stamped] == [6, 50000, 5, 3]
    assert await node.log(pod, tail_lines=1) == "end"
    assert await node.log(pod, tail_lines=3) == whole.removeprefix("before\r\n")
    assert await node.log(pod, tail_lines=10) == whole
    assert await node.log(pod, tail_lines=0) == ""
