"""A pod's address, and whether the plugin can reach it: httpGet, tcpSocket and grpc probes connect from here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import Mapping
from typing import Any

from interlink_docker import labels
from interlink_docker.client import Engine, EngineRefusal
from interlink_docker.images import Images
from interlink_docker.settings import DockerSettings

CONNECTIONS = 20
"""So many that the packets that arrive by chance are fewer."""
ANSWER_SECONDS = 5.0
CLOSED_PORT = 9


def address_of(networks: Mapping[str, Mapping[str, Any]]) -> str:
    """The sandbox's address, from its NetworkSettings.Networks; IPv4 where it has both. Raises OSError: an action over it fails."""
    found = [network[key] for key in ("IPAddress", "GlobalIPv6Address") for network in networks.values() if network.get(key)]
    if not found:
        raise OSError("the pod sandbox has no address")
    return str(found[0])


async def objection(engine: Engine, settings: DockerSettings) -> str:
    """ "" or why the plugin can't reach a container in the pods' network. Raises RuntimeUnavailable."""
    name = f"interlink-probe-{secrets.token_hex(8)}"
    config = {
        "Image": str(Images(engine, settings.images).reference(settings.sandbox.image)),
        "Labels": labels.ours(settings.instance, labels.PROBE_ROLE),
        "HostConfig": {"NetworkMode": settings.sandbox.network or "default"},
    }
    address = ""
    try:
        await engine.create(name, config)
        await engine.start(name)
        address = address_of((await engine.inspect(name))["NetworkSettings"]["Networks"])
        before = await received_packets(engine, name)
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.gather(*(connect_to_closed_port(address) for _ in range(CONNECTIONS)))
        arrived = await received_packets(engine, name) - before
    except TimeoutError:
        return f"nothing answers at {address}"
    except OSError as error:
        return error.strerror or str(error)
    except EngineRefusal as error:
        return error.message
    finally:
        await engine.remove(name)
    return "" if arrived >= CONNECTIONS else f"something else than the pod answers at {address}"


async def connect_to_closed_port(address: str) -> None:
    """Connects to a port where nobody listens. Raises OSError if there is no route."""
    with contextlib.suppress(ConnectionRefusedError):
        _, writer = await asyncio.open_connection(address, CLOSED_PORT)
        writer.close()


async def received_packets(engine: Engine, name: str) -> int:
    """How many packets a container received, by the engine's count."""
    stats = json.loads(await engine.read(f"/containers/{name}/stats", {"stream": "false", "one-shot": "true"}))
    return sum(int(network["rx_packets"]) for network in (stats.get("networks") or {}).values())
