"""Where we listen: modes, leftovers of killed processes, addresses that are none."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from interlink_common.errors import ConfigurationError
from interlink_common.serve import listeners
from interlink_common.serve.listeners import bind, bind_telemetry


def test_a_socket_is_for_owner_and_group_and_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "made" / "p.sock"
    listener = bind(f"unix://{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    listener.close()
    assert not path.exists()


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    bind(f"unix://{path}").close()


def test_a_served_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    with socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(path))
        alive.listen()
        with pytest.raises(ConfigurationError, match="another process serves"):
            bind(f"unix://{path}")
        assert path.exists()


def test_a_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "p.sock"
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="not a socket"):
        bind(f"unix://{path}")
    assert path.read_text() == "precious"


def test_a_port_in_use_is_told() -> None:
    listener = bind("http://127.0.0.1:0")
    port = listener.socket.getsockname()[1]
    with pytest.raises(ConfigurationError, match=f"telemetry.listen: the plugin cannot listen on 127.0.0.1:{port}"):
        bind(f"http://127.0.0.1:{port}", "telemetry.listen")
    listener.close()


def test_several_plugins_on_one_host_share_the_default_telemetry_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = [bind("http://127.0.0.1:0") for _ in range(2)]
    first, second = (listener.socket.getsockname()[1] for listener in taken)
    taken.pop().close()
    monkeypatch.setattr(listeners, "TELEMETRY_PORTS", (first, second))
    taken.append(bind_telemetry(""))
    assert taken[1].address == f"http://127.0.0.1:{second}"
    with pytest.raises(ConfigurationError, match=f"telemetry.listen: no port of 127.0.0.1 from {first} to {second} is free"):
        bind_telemetry("")
    with pytest.raises(ConfigurationError, match=f"the plugin cannot listen on 127.0.0.1:{first}"):
        bind_telemetry(f"http://127.0.0.1:{first}")
    for listener in taken:
        listener.close()


@pytest.mark.parametrize(
    "listen",
    ["", "p.sock", "unix://p.sock", "unix:///" + "x" * 200, "https://h:1", "http://h", "http://h:99999", "http://[::1", "http://:80"],
)
def test_what_is_no_address_is_named(listen: str) -> None:
    with pytest.raises(ConfigurationError, match="listen"):
        bind(listen)
