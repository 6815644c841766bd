"""Credentials that are renewed on disk, and what is delegated of them."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from interlink_arc.credentials import Credential
from interlink_arc.delegations import signed
from interlink_arc.settings import CredentialSettings, TrustSettings
from interlink_common.errors import BackendUnavailable, ConfigurationError
from tests.servers.authority import Authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "a")


def credential(authority: Authority, **files: Any) -> Credential:
    return Credential("own", CredentialSettings(**files), TrustSettings(ca_directory=authority.certificates))


def test_credentials_are_private_files_that_tell_when_they_end(authority: Authority, tmp_path: Path) -> None:
    proxy = authority.proxy("alice", days=1)
    own = credential(authority, proxy_file=proxy)
    own.require_private()
    end = own.expires_at()
    assert end is not None
    assert abs(end - time.time() - 86400) < 600
    assert own.headers() == {}
    before = own.signature()
    assert authority.proxy("alice") == proxy
    assert own.signature() != before
    proxy.chmod(0o640)
    with pytest.raises(ConfigurationError, match="may be read by others"):
        own.require_private()
    proxy.chmod(0o600)
    with pytest.raises(BackendUnavailable, match="cannot be read"):
        credential(authority, proxy_file=tmp_path / "gone").signature()


@pytest.mark.parametrize(("text", "end"), [("not-a-token", None), ("a.eyJleHAiOiAxMH0.c", 10.0), ("a.W10.c", None)])
def test_tokens_tell_when_they_end(authority: Authority, tmp_path: Path, text: str, end: float | None) -> None:
    (tmp_path / "token").write_text(f"{text}\n")
    own = credential(authority, token_file=tmp_path / "token")
    assert own.headers() == {"Authorization": f"Bearer {text}"}
    assert own.expires_at() == end
    (tmp_path / "token").write_text("two\nlines")
    with pytest.raises(BackendUnavailable, match="does not contain a token"):
        own.headers()


def test_a_file_that_is_no_credential_is_told_without_its_bytes(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "proxy").write_text("-----BEGIN RSA PRIVATE KEY-----\nsecret\n-----END RSA PRIVATE KEY-----\n")
    own = credential(authority, proxy_file=tmp_path / "proxy")
    for call in (own.context, own.expires_at):
        with pytest.raises(BackendUnavailable) as told:
            call()
        assert "secret" not in str(told.value)


def test_revocation_lists_are_looked_at_where_there_are_any(authority: Authority, tmp_path: Path) -> None:
    assert not credential(authority).context().verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    other = Authority(tmp_path / "other")
    other.revoke()
    assert credential(other).context().verify_flags & ssl.VERIFY_CRL_CHECK_LEAF


def test_a_delegation_is_a_proxy_of_ours_that_ends_no_later(authority: Authority) -> None:
    own = credential(authority, proxy_file=authority.proxy("alice", days=1), delegate=True)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem, end = signed(request.public_bytes(serialization.Encoding.PEM), own)
    made, proxy, user = x509.load_pem_x509_certificates(pem)
    made.verify_directly_issued_by(proxy)
    assert made.public_key() == key.public_key()
    assert made.subject.rfc4514_string().endswith(",".join(reversed([part.rfc4514_string() for part in proxy.subject.rdns])))
    assert user.subject.rfc4514_string() == "CN=alice,O=test"
    assert end <= (own.expires_at() or 0)
    with pytest.raises(BackendUnavailable, match="has ended"):
        signed(request.public_bytes(serialization.Encoding.PEM), credential(authority, proxy_file=authority.proxy("bob", days=-1)))
