"""No value of a Secret is printed, in whatever form it turns up."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from interlink_common.cli.masking import MASK, masked, secret_values
from interlink_common.virtualkubelet.manifests import from_documents

POD = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}


def values(**data: str) -> frozenset[str]:
    return secret_values(from_documents([POD, {"kind": "Secret", "metadata": {"name": "s"}, "stringData": data}]))


def test_secrets_are_hidden_in_every_form() -> None:
    secrets = values(password="hunter2\n", pin="1", key="line1\nline2")
    plan: dict[str, Any] = {
        "Env": ["PW=hunter2", "URL=db://u:hunter2@h/", "PIN=1", "COUNT=10", "PLAIN=x=y"],
        "files": {"password": b"hunter2\n", "pin": "1", "key": base64.b64encode(b"line1\nline2").decode()},
        "label": json.dumps({"key": "line1\nline2"}),
        "numbers": (1, None, True),
    }
    assert masked(plan, secrets) == {
        "Env": [f"PW={MASK}", f"URL=db://u:{MASK}@h/", f"PIN={MASK}", "COUNT=10", "PLAIN=x=y"],
        "files": {"password": MASK, "pin": MASK, "key": MASK},
        "label": '{"key": "' + MASK + '"}',
        "numbers": [1, None, True],
    }


def test_registry_logins_are_hidden_too() -> None:
    auth = base64.b64encode(b"user:geheim1").decode()
    secrets = values(**{".dockerconfigjson": json.dumps({"auths": {"r": {"auth": auth}, "q": {"password": "geheim2"}, "bad": 3}})})
    plan = [{"server": "r", "password": "geheim1"}, {"password": "geheim2"}, auth]
    assert masked(plan, secrets) == [{"server": "r", "password": MASK}, {"password": MASK}, MASK]


@given(secret=st.text(min_size=4).filter(lambda text: len(text.strip()) >= 4), before=st.text(), after=st.text())
def test_a_long_secret_never_survives_inside_a_text(secret: str, before: str, after: str) -> None:
    assert secret not in masked(before + secret + after, values(k=secret)).replace(MASK, "\0") or secret in MASK + before + after


@given(data=st.dictionaries(st.text(max_size=5), st.binary(max_size=20)))
def test_any_secret_can_be_read(data: dict[str, bytes]) -> None:
    encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
    found = secret_values(from_documents([POD, {"kind": "Secret", "metadata": {"name": "s"}, "data": encoded}]))
    assert set(encoded.values()) - {""} <= found
    assert "" not in found
