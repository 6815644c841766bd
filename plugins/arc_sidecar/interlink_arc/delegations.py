"""Delegated credentials: what lets a job, or a runtime environment, act for us at the computing element. Renewed until nobody needs them.

Source: RFC 3820, "Internet X.509 Public Key Infrastructure Proxy Certificate Profile"; ARC REST interface specification, Delegations.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import secrets
import time
from pathlib import Path

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from interlink_arc.credentials import Credential
from interlink_arc.sites import Site
from interlink_common.errors import BackendUnavailable, Temporary

log = structlog.get_logger(__name__)

PROXY_INFORMATION = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.14")
INHERIT_ALL = bytes.fromhex("300c300a06082b06010505071501")
"""ProxyCertInfo with the policy id-ppl-inheritAll, and no limit on further proxies."""
LIFETIME = datetime.timedelta(hours=24)
SKEW = datetime.timedelta(minutes=5)


def signed(request_pem: bytes, credential: Credential) -> tuple[bytes, float]:
    """A proxy for the key of the request, with the chain that proves it, as PEM; and its end, unix seconds, which is never after ours.

    Raises BackendUnavailable for a credential that cannot be read, or that has ended.
    """
    try:
        chain, key = credential.chain(), credential.key()
        request = x509.load_pem_x509_csr(request_pem)
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise BackendUnavailable(f"the credential {credential.name} cannot be delegated: {type(error).__name__}") from None
    issuer, now = chain[0], datetime.datetime.now(datetime.UTC)
    end = min(now + LIFETIME, *(certificate.not_valid_after_utc for certificate in chain))
    if end <= now:
        raise BackendUnavailable(f"the credential {credential.name} has ended")
    serial = secrets.randbits(63)
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    made = (
        x509.CertificateBuilder()
        .issuer_name(issuer.subject)
        .subject_name(x509.Name([*issuer.subject, x509.NameAttribute(NameOID.COMMON_NAME, str(serial))]))
        .serial_number(serial)
        .public_key(request.public_key())
        .not_valid_before(max(now - SKEW, issuer.not_valid_before_utc))
        .not_valid_after(end)
        .add_extension(x509.UnrecognizedExtension(PROXY_INFORMATION, INHERIT_ALL), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in (made, *chain))
    return pem, end.timestamp()


class Delegations:
    """One delegation for each site that wants one, shared by its jobs; remembered on disk, so that it is renewed after a restart too."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = asyncio.Lock()
        self._due: dict[str, float] = {}
        """When each is to be renewed, unix seconds: when half of its time is over."""

    async def of(self, site: Site) -> str:
        """The id of a delegation with at least half of its time left; "" where none is wanted. Raises BackendUnavailable."""
        if not site.credential.settings.delegate:
            return ""
        async with self._turn:
            return await self._renewed(site)

    async def renew(self, site: Site) -> None:
        """Renews what jobs of ours were given, when it is due."""
        if site.credential.settings.delegate and self._key(site) in self._remembered():
            await self.of(site)

    async def _renewed(self, site: Site) -> str:
        key, remembered = self._key(site), self._remembered()
        if key in remembered and time.time() < self._due.get(key, 0.0):
            return remembered[key]
        delegation, request = remembered.get(key, ""), b""
        if delegation:
            try:
                request = await site.element.renew_delegation(delegation)
            except BackendUnavailable:
                raise
            except Temporary:
                log.info("a delegation no longer exists, a new one is made", ce=site.name)
        if not request:
            delegation, request = await site.element.new_delegation()
        chain, end = await asyncio.to_thread(signed, request, site.credential)
        await site.element.sign_delegation(delegation, chain)
        self._due[key] = (time.time() + end) / 2
        self._path.write_text(json.dumps({**remembered, key: delegation}))
        return delegation

    def _key(self, site: Site) -> str:
        return f"{site.credential.name} {site.url}"

    def _remembered(self) -> dict[str, str]:
        try:
            found = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
