"""`serve`: one plugin process from start to graceful stop. The command line is a thin layer over it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
import uvloop

from interlink_common.backend import Backend
from interlink_common.background import Tasks
from interlink_common.serve.app import create_app
from interlink_common.serve.listeners import Listener, Server, bind, bind_telemetry
from interlink_common.serve.metrics import Metrics
from interlink_common.serve.telemetry import configure_logging, telemetry_app, tracer_for
from interlink_common.settings import PluginSettings
from interlink_common.tracking.node import VirtualNode
from interlink_common.tracking.reconciler import Reconciler
from interlink_common.tracking.records import Records

log = structlog.get_logger(__name__)


@asynccontextmanager
async def running_node(backend: Backend, settings: PluginSettings) -> AsyncIterator[VirtualNode]:
    """A node with its records open and its background running; on leaving, records are flushed and the backend is closed."""
    records = Records(settings.state_dir)
    try:
        node = VirtualNode(backend, records, settings)
        reconciler = Reconciler(node)
        reconciler.start()
        try:
            yield node
        finally:
            node.stop_streams()
            await reconciler.close()
    finally:
        await records.close()


async def serve(backend: Backend, settings: PluginSettings, *, ready: asyncio.Event | None = None) -> None:
    """Serves until SIGTERM or SIGINT. `ready` is set once requests are accepted. Raises ConfigurationError before that."""
    tracer = tracer_for(settings)
    listeners: list[Listener] = []
    try:
        async with running_node(backend, settings) as node:
            metrics = Metrics(node.registry, backend.gauges)
            listeners.append(bind(settings.listen))
            servers = [Server(create_app(node, metrics=metrics, tracer=tracer))]
            if settings.telemetry.listen is not None:
                listeners.append(bind_telemetry(settings.telemetry.listen))
                servers.append(Server(telemetry_app(node.registry, metrics)))
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            tasks = Tasks()
            tasks.forever("loop-lag", metrics.watch_loop)
            serving = [
                asyncio.create_task(server.serve(sockets=[listener.socket]), name="server")
                for server, listener in zip(servers, listeners, strict=True)
            ]
            stopping = asyncio.create_task(stop.wait(), name="stop")
            try:
                log.info("serving", backend=backend.name, listen=settings.listen, telemetry=[each.address for each in listeners[1:]])
                if ready is not None:
                    ready.set()
                await asyncio.wait({*serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
                log.info("stopping", backend=backend.name)
            finally:
                node.stop_streams()
                for server in servers:
                    server.should_exit = True
                await asyncio.gather(*serving)
                stopping.cancel()
                await tasks.close()
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.remove_signal_handler(number)
    finally:
        for listener in listeners:
            listener.close()
        if tracer is not None:
            await asyncio.to_thread(tracer.close)


def run(backend: Backend, settings: PluginSettings) -> None:
    """Configures logging and serves on a uvloop event loop until a signal. Raises ConfigurationError."""
    configure_logging(settings.telemetry)
    uvloop.run(serve(backend, settings))
