"""Which computing element a pod goes to, with which credential, and how many requests become one."""

from __future__ import annotations

import asyncio

import pytest

from interlink_arc.sites import OWN, Sites
from interlink_arc.translate import Choice
from interlink_common.errors import BackendUnavailable
from tests.unit.arc.pods import settings

URL = "https://one.test/arex"


def test_pods_are_shared_out_by_weight_among_those_that_answer() -> None:
    sites = Sites(settings())
    both = Choice(("one", "two"), "")
    assert [sites.choose("default", both).name for _ in range(6)] == ["two", "one", "two"] * 2
    sites.of("default", "two").failed(BackendUnavailable("two is away"))
    assert [sites.choose("default", both).name for _ in range(2)] == ["one", "one"]
    sites.of("default", "one").failed(BackendUnavailable("one is away"))
    with pytest.raises(BackendUnavailable, match="one is away; two is away"):
        sites.choose("default", both)
    sites.of("default", "two").answered()
    assert sites.choose("default", both).name == "two"


def test_an_element_of_weight_nothing_gets_no_new_pods() -> None:
    sites = Sites(settings(ces={"one": {"url": URL, "weight": 0}}))
    with pytest.raises(BackendUnavailable, match="the weight of one is 0"):
        sites.choose("default", Choice(("one",), ""))
    assert sites.at("default", URL).name == "one"
    with pytest.raises(BackendUnavailable, match="ces no longer names the computing element"):
        sites.at("default", "https://gone.test/arex")


def test_each_credential_is_a_site_of_its_own() -> None:
    tenants = {"a": {"credential": {"token_file": "/t"}, "ces": ["two"]}, "b": {"queue": "q"}}
    sites = Sites(settings(tenants=tenants))
    assert [(site.name, site.credential.name) for site in sites.all()] == [("two", "a")]  # nothing else is set
    assert sites.of("a", "two").credential.name == "a"
    assert sites.of("b", "two").credential.name == OWN
    assert sites.of("a", "two") is sites.all()[0]


async def test_requests_that_come_together_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Sites(settings()).of("default", "one")
    calls: list[list[str]] = []

    async def act(action: str, ids: list[str]) -> dict[str, int]:
        calls.append(list(ids))
        await asyncio.sleep(0)
        return dict.fromkeys(ids, 202)

    monkeypatch.setattr(site.element, "act", act)
    assert await asyncio.gather(*(site.act("kill", str(number)) for number in range(5))) == [202] * 5
    assert calls == [["0", "1", "2", "3", "4"]] or calls == [["0"], ["1", "2", "3", "4"]]
