"""Who else a pool trusts besides its own tokens: an authority that signs certificates, and an issuer of SciTokens.

The issuer's keys are put into the cache of the pool's SciTokens library, where they would be after a download: no server is asked.
"""

from __future__ import annotations

from pathlib import Path

from tests.servers.authority import Authority, Issuer
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


class Trust:
    """Makes everything that the pool is to trust, and has it take that up. `certificates` is a directory as OpenSSL looks them up in."""

    def __init__(self, pool: Pool, directory: Path) -> None:
        self._authority, self._issuer = Authority(directory), Issuer(directory, ISSUER)
        self.certificates, self.proxy = self._authority.certificates, self._authority.proxy
        self._authority.host(HOSTNAME, pool.address)
        for name, text in (("jwks", self._issuer.keys), ("map", MAP), ("keep-keys.py", KEEP_KEYS)):
            (directory / name).write_text(text)
        for name in ("ca.crt", "host.crt", "host.key", "jwks", "map", "keep-keys.py"):
            (pool.root / "pool" / name).write_bytes((directory / name).read_bytes())
        pool.run("XDG_CACHE_HOME=$(condor_config_val SEC_SCITOKENS_CACHE) python3 /pool/keep-keys.py")
        pool.run("chown -R condor: $(condor_config_val SEC_SCITOKENS_CACHE) && condor_reconfig")

    def scitoken(self, subject: str, *, seconds: int = 1200) -> Path:
        """A token that is good for so long, 0600; the file of an earlier one is replaced."""
        claims = {"aud": "ANY", "ver": "scitoken:2.0", "scope": "condor:/READ condor:/WRITE"}
        return self._issuer.token(subject, f"{subject}.scitoken", seconds=seconds, **claims)
