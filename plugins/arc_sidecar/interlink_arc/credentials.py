"""Who we are for a computing element, and whom we believe: read from files, and again when they were renewed."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from interlink_arc.settings import CredentialSettings, TrustSettings
from interlink_common.batchsystem.files import require_private
from interlink_common.errors import BackendUnavailable

REVOCATION_LISTS = "*.r[0-9]*"


class Credential:
    """One credential. `name` is for people: in messages, and as the label of metrics. Every method reads files."""

    def __init__(self, name: str, settings: CredentialSettings, trust: TrustSettings) -> None:
        self.name = name
        self.settings = settings
        self._trust = trust.ca_directory

    @property
    def is_set(self) -> bool:
        return any(self._files())

    def require_private(self) -> None:
        """Raises ConfigurationError for files that are not there, or that others may read."""
        for setting, path in self._files():
            if setting != "certificate_file":
                require_private(path, f"credential.{setting}")

    def _files(self) -> Iterator[tuple[str, Path]]:
        for setting in ("proxy_file", "certificate_file", "key_file", "token_file"):
            path = getattr(self.settings, setting)
            if path is not None:
                yield setting, path

    def signature(self) -> tuple[int, ...]:
        """Differs as soon as a file was renewed, or a revocation list. Raises BackendUnavailable while one is missing."""
        try:
            return tuple(path.stat().st_mtime_ns for path in (*(path for _, path in self._files()), self._trust))
        except OSError as error:
            raise BackendUnavailable(f"{error.filename} cannot be read: {error.strerror}") from None

    def context(self) -> ssl.SSLContext:
        """Verifies the server by name, by the authorities and, where they publish them, by their revocation lists.

        Raises BackendUnavailable for files that are not what they should be: a renewal may put that right.
        """
        context = ssl.create_default_context(capath=str(self._trust))
        if any(self._trust.glob(REVOCATION_LISTS)):
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        settings = self.settings
        certificate = settings.proxy_file or settings.certificate_file
        if certificate is not None:
            try:
                context.load_cert_chain(certificate, settings.key_file)
            except (OSError, ssl.SSLError) as error:
                raise BackendUnavailable(f"{certificate} does not contain a certificate with its key: {error.strerror}") from None
        return context

    def headers(self) -> dict[str, str]:
        """Never to be logged."""
        return {} if self.settings.token_file is None else {"Authorization": f"Bearer {self._token()}"}

    def _token(self) -> str:
        assert self.settings.token_file is not None
        token = self.settings.token_file.read_text().strip()
        if not token.isascii() or not token.isprintable():
            raise BackendUnavailable(f"{self.settings.token_file} does not contain a token")
        return token

    def expires_at(self) -> float | None:
        """Unix seconds of the first part that ends; None where nothing tells. Raises BackendUnavailable for a file that is none."""
        try:
            times = [certificate.not_valid_after_utc.timestamp() for certificate in self.chain()]
            if self.settings.token_file is not None:
                times += _token_times(self._token())
        except (OSError, ValueError) as error:
            raise BackendUnavailable(f"the credential {self.name} cannot be read: {type(error).__name__}") from None
        return min(times, default=None)

    def chain(self) -> list[x509.Certificate]:
        """The certificates, our own first. Raises OSError or ValueError."""
        path = self.settings.proxy_file or self.settings.certificate_file
        return x509.load_pem_x509_certificates(path.read_bytes()) if path is not None else []

    def key(self) -> RSAPrivateKey | EllipticCurvePrivateKey:
        """The private key that goes with the first of them. Raises OSError or ValueError."""
        path = self.settings.proxy_file or self.settings.key_file
        assert path is not None
        key = serialization.load_pem_private_key(_only_key(path.read_bytes()), None)
        if not isinstance(key, (RSAPrivateKey, EllipticCurvePrivateKey)):
            raise ValueError(f"{path} contains a kind of key that cannot sign a proxy")
        return key


def _only_key(pem: bytes) -> bytes:
    """The first private key of a file that may begin with certificates, as a proxy does."""
    begin = pem.find(b"-----BEGIN")
    while begin >= 0 and b"PRIVATE KEY" not in pem[begin : pem.find(b"\n", begin)]:
        begin = pem.find(b"-----BEGIN", begin + 1)
    return pem[max(begin, 0) :]


def _token_times(token: str) -> list[float]:
    """When the token ends, as it says itself; whether it is genuine is the computing element's business."""
    parts = token.split(".")
    if len(parts) != 3:
        return []
    claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    end = claims.get("exp") if isinstance(claims, dict) else None
    return [float(end)] if isinstance(end, (int, float)) else []
