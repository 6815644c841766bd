"""Who else a pool trusts besides its own tokens: an authority that signs certificates, and an issuer of SciTokens, both made with openssl.

The issuer's keys are put into the cache of the pool's SciTokens library, where they would be after a download: no server is asked.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.servers.htcondor import HOSTNAME, Pool

ISSUER = "https://issuer.test"
CONFIGURATION = """\
AUTH_SSL_SERVER_CERTFILE = /pool/host.crt
AUTH_SSL_SERVER_KEYFILE = /pool/host.key
AUTH_SSL_SERVER_CAFILE = /pool/ca.crt
AUTH_SSL_ALLOW_CLIENT_PROXY = True
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS, SCITOKENS, SSL
CERTIFICATE_MAPFILE = /pool/map
QUEUE_SUPER_USERS = root, condor, site@pool.test
QUEUE_SUPER_USER_MAY_IMPERSONATE = alice|bob|site
"""
"""For `Pool(extra=...)`; the files come with `Trust`. Keys of the map are regular expressions."""
MAP = f"""\
SSL "^/O=test/CN=alice(/CN=[0-9]+)?$" alice@pool.test
SCITOKENS "^{ISSUER},bob$" bob@pool.test
"""
KEEP_KEYS = f"""\
import ctypes
error = ctypes.c_char_p()
keys = open("/pool/jwks", "rb").read()
assert ctypes.CDLL("libSciTokens.so.0").keycache_set_jwks(b"{ISSUER}", keys, ctypes.byref(error)) == 0, error.value
"""
PROXY = "proxyCertInfo=critical,language:id-ppl-inheritAll\nkeyUsage=critical,digitalSignature,keyEncipherment\n"
"""RFC 3820."""


class Trust:
    """Makes everything that the pool is to trust, and has it take that up. `certificates` is a directory as OpenSSL looks them up in."""

    def __init__(self, pool: Pool, directory: Path) -> None:
        self._pool, self._directory = pool, directory
        self.certificates = directory / "certificates"
        self.certificates.mkdir(parents=True)
        self._openssl("req", "-x509", *_new_key("ca"), "-days", "2", "-subj", "/O=test/CN=authority", "-out", "ca.crt")
        self._signed("host", f"/CN={HOSTNAME}", f"subjectAltName=DNS:{HOSTNAME},IP:{pool.address}\n", by="ca")
        self._openssl("genrsa", "-out", "issuer.key", "2048")
        for name, text in (("jwks", self._keys()), ("map", MAP), ("keep-keys.py", KEEP_KEYS)):
            (directory / name).write_text(text)
        for name in ("ca.crt", "host.crt", "host.key", "jwks", "map", "keep-keys.py"):
            (pool.root / "pool" / name).write_bytes((directory / name).read_bytes())
        (self.certificates / "ca.pem").write_bytes((directory / "ca.crt").read_bytes())
        self._openssl("rehash", str(self.certificates))
        pool.run("XDG_CACHE_HOME=$(condor_config_val SEC_SCITOKENS_CACHE) python3 /pool/keep-keys.py")
        pool.run("chown -R condor: $(condor_config_val SEC_SCITOKENS_CACHE) && condor_reconfig")

    def proxy(self, name: str) -> Path:
        """A user's X.509 proxy, 0600."""
        self._signed(name, f"/O=test/CN={name}", "", by="ca")
        self._signed(f"{name}-proxy", f"/O=test/CN={name}/CN=12345", PROXY, by=name)
        parts = (f"{name}-proxy.crt", f"{name}-proxy.key", f"{name}.crt")
        return self._private(f"{name}.proxy", "".join((self._directory / part).read_text() for part in parts))

    def scitoken(self, subject: str, *, seconds: int = 1200) -> Path:
        """A token that is good for so long, 0600; the file of an earlier one is replaced."""
        now = int(time.time())
        claims = {"iss": ISSUER, "sub": subject, "aud": "ANY", "ver": "scitoken:2.0", "scope": "condor:/READ condor:/WRITE"}
        times = {"iat": now - 3600, "nbf": now - 3600, "exp": now + seconds}
        head = {"alg": "RS256", "typ": "JWT", "kid": "key"}
        said = ".".join(_base64url(json.dumps(part).encode()) for part in (head, {**claims, **times}))
        signature = self._openssl("dgst", "-sha256", "-sign", "issuer.key", stdin=said.encode())
        return self._private(f"{subject}.scitoken", f"{said}.{_base64url(signature)}\n")

    def _private(self, name: str, text: str) -> Path:
        path = self._directory / name
        writing = path.with_suffix(".new")
        writing.touch(mode=0o600)
        writing.write_text(text)
        return writing.replace(path)

    def _keys(self) -> str:
        told = self._openssl("rsa", "-in", "issuer.key", "-noout", "-modulus").decode()
        modulus = bytes.fromhex(told.strip().partition("=")[2])
        return json.dumps(
            {"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "key", "n": _base64url(modulus), "e": _base64url(b"\1\0\1")}]}
        )

    def _signed(self, name: str, subject: str, extensions: str, *, by: str) -> None:
        (self._directory / f"{name}.ext").write_text(extensions)
        self._openssl("req", *_new_key(name), "-subj", subject, "-out", f"{name}.csr")
        signer = ["-CA", f"{by}.crt", "-CAkey", f"{by}.key", "-CAcreateserial"]
        self._openssl("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-extfile", f"{name}.ext", *signer, "-out", f"{name}.crt")

    def _openssl(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return subprocess.run(["openssl", *arguments], cwd=self._directory, input=stdin, check=True, capture_output=True).stdout


def _new_key(name: str) -> Sequence[str]:
    return ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
