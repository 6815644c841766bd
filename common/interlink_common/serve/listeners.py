"""Where we listen, and the uvicorn servers that answer there, run inside our own loop and stopped by us.

The socket is made here and not by uvicorn, which would make it world-writable and take over one that another process serves.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp

from interlink_common.errors import ConfigurationError

KEEP_ALIVE_SECONDS = 600
"""Longer than Go's 90 s, so that the client is always the one to close: a create sent on a connection we just closed would be lost."""
GRACEFUL_STOP_SECONDS = 10
BACKLOG = 2048
TELEMETRY_PORTS = range(9464, 9480)
"""From OpenTelemetry's port for Prometheus exporters on."""


@dataclass(frozen=True)
class Listener:
    """A bound socket, and its file if it has one."""

    socket: socket.socket
    address: str
    path: Path | None = None

    def close(self) -> None:
        self.socket.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def bind(listen: str, setting: str = "listen") -> Listener:
    """A bound socket for `unix:///path.sock` or `http://host:port`. Raises ConfigurationError naming `setting`."""
    try:
        address = urlsplit(listen)
        port = address.port
    except ValueError:
        address, port = urlsplit(""), None
    if address.scheme == "unix" and not address.netloc and address.path.startswith("/"):
        path = Path(address.path)
        return Listener(_bind_unix(path, setting), listen, path)
    if address.scheme == "http" and address.hostname and port is not None and address.path in ("", "/"):
        return Listener(_bind_tcp(address.hostname, port, setting), listen)
    raise ConfigurationError(f"{setting} is {listen}; it must be unix:///path.sock or http://host:port")


def bind_telemetry(listen: str) -> Listener:
    """As `bind`. Empty: the first of TELEMETRY_PORTS that is free, because several plugins on one host are normal."""
    if listen:
        return bind(listen, "telemetry.listen")
    for port in TELEMETRY_PORTS:
        with contextlib.suppress(ConfigurationError):
            return bind(f"http://127.0.0.1:{port}", "telemetry.listen")
    first, last = TELEMETRY_PORTS[0], TELEMETRY_PORTS[-1]
    raise ConfigurationError(f"telemetry.listen: no port of 127.0.0.1 from {first} to {last} is free; set an address, or null for none")


def _bind_unix(path: Path, setting: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _clear_stale(path, setting)
        mask = os.umask(0o117)
        try:
            listener.bind(str(path))
        finally:
            os.umask(mask)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"{setting}: the socket {path} cannot be created ({error.strerror or error}); choose another path"
        ) from error
    except BaseException:
        listener.close()
        raise
    return listener


def _clear_stale(path: Path, setting: str) -> None:
    """Removes a socket that a killed process left behind, but never one that is served, nor a file that is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigurationError(f"{setting}: {path} exists and is not a socket; move it away or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except TimeoutError:
            pass
    raise ConfigurationError(f"{setting}: another process serves {path}; stop it or choose another path")


def _bind_tcp(host: str, port: int, setting: str) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigurationError(f"{setting}: the host {host} is not known; use an address of this machine") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)  # now: until somebody listens, another process may bind the same port
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"{setting}: the plugin cannot listen on {host}:{port} ({error.strerror}); choose another port") from error
    return listener


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to us: `should_exit = True` stops it gracefully."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACEFUL_STOP_SECONDS,
        )
        super().__init__(config)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
