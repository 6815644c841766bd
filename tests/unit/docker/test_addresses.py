"""Where the network probes of a pod connect to."""

from __future__ import annotations

import pytest

from interlink_docker.reachability import address_of

NONE = {"IPAddress": "", "GlobalIPv6Address": ""}
V4, V6 = NONE | {"IPAddress": "192.0.2.2"}, NONE | {"GlobalIPv6Address": "2001:db8::2"}


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ({"bridge": V4}, "192.0.2.2"),
        ({"six": V6}, "2001:db8::2"),
        ({"none": NONE, "six": V6, "four": V4}, "192.0.2.2"),
    ],
)
def test_an_address(networks: dict[str, dict[str, str]], address: str) -> None:
    assert address_of(networks) == address


@pytest.mark.parametrize("networks", [{}, {"none": NONE}])
def test_no_address_is_an_answer_to_a_probe(networks: dict[str, dict[str, str]]) -> None:
    with pytest.raises(OSError, match="has no address"):
        address_of(networks)
