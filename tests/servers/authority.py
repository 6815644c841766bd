"""An authority that signs certificates and proxies, and an issuer of tokens, both made with openssl."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

PROXY = "proxyCertInfo=critical,language:id-ppl-inheritAll\nkeyUsage=critical,digitalSignature,keyEncipherment\n"
"""RFC 3820."""
REVOCATION = "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\ncrlnumber = crlnumber\ndefault_md = sha256\ndefault_crl_days = 2\n"
SIGNING_POLICY = "access_id_CA X509 '/O=test/CN=authority'\npos_rights globus CA:sign\ncond_subjects globus '\"/*\"'\n"
"""What the authority may sign, as grid software reads it."""


class Openssl:
    """Runs openssl in a directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory

    def run(self, *arguments: str, stdin: bytes = b"") -> bytes:
        done = subprocess.run(["openssl", *arguments], cwd=self.directory, input=stdin, check=False, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def private(self, name: str, text: str) -> Path:
        """A file 0600, in place of an earlier one at once."""
        path = self.directory / name
        writing = path.with_name(f"{name}.new")
        writing.unlink(missing_ok=True)
        writing.touch(mode=0o600)
        writing.write_text(text)
        return writing.replace(path)


class Authority(Openssl):
    """`certificates` is a directory as OpenSSL and grid software look authorities up in."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.certificates = directory / "certificates"
        self.certificates.mkdir()
        self.run("req", "-x509", *_new_key("ca"), "-days", "2", "-subj", "/O=test/CN=authority", "-out", "ca.crt")
        (self.certificates / "ca.pem").write_bytes((directory / "ca.crt").read_bytes())
        self.name = self.run("x509", "-in", "ca.crt", "-noout", "-hash").decode().strip()
        (self.certificates / f"{self.name}.signing_policy").write_text(SIGNING_POLICY)
        self.run("rehash", str(self.certificates))

    def host(self, name: str, *addresses: str, days: int = 2) -> tuple[Path, Path]:
        """Certificate and key of a server, by name and IP addresses."""
        also = ",".join([f"DNS:{name}", *(f"IP:{address}" for address in addresses)])
        self._signed("host", f"/O=test/CN={name}", f"subjectAltName={also}\n", by="ca", days=days)
        return self.directory / "host.crt", self.directory / "host.key"

    def user(self, name: str) -> Path:
        """A user's certificate and key in one file, 0600."""
        self._signed(name, f"/O=test/CN={name}", "", by="ca")
        return self.private(f"{name}.pem", self._text(f"{name}.crt", f"{name}.key"))

    def proxy(self, name: str, *, days: int = 2) -> Path:
        """A user's X.509 proxy, 0600. It has ended already if `days` is negative."""
        if not (self.directory / f"{name}.crt").exists():
            self.user(name)
        self._signed(f"{name}-proxy", f"/O=test/CN={name}/CN=12345", PROXY, by=name, days=days)
        return self.private(f"{name}.proxy", self._text(f"{name}-proxy.crt", f"{name}-proxy.key", f"{name}.crt"))

    def revoke(self, *certificates: Path) -> None:
        """Publishes a list of revoked certificates, these added; of none so far, an empty one."""
        for name, text in (("index.txt", ""), ("crlnumber", "01\n"), ("revocation.cnf", REVOCATION)):
            if name == "revocation.cnf" or not (self.directory / name).exists():
                (self.directory / name).write_text(text)
        own = ("-config", "revocation.cnf", "-keyfile", "ca.key", "-cert", "ca.crt")
        for certificate in certificates:
            self.run("ca", *own, "-revoke", str(certificate))
        self.run("ca", *own, "-gencrl", "-out", str(self.certificates / f"{self.name}.r0"))

    def _text(self, *names: str) -> str:
        return "".join((self.directory / name).read_text() for name in names)

    def _signed(self, name: str, subject: str, extensions: str, *, by: str, days: int = 2) -> None:
        (self.directory / f"{name}.ext").write_text(extensions)
        self.run("req", *_new_key(name), "-subj", subject, "-out", f"{name}.csr")
        signer = ["-CA", f"{by}.crt", "-CAkey", f"{by}.key", "-CAcreateserial"]
        self.run("x509", "-req", "-days", str(days), "-in", f"{name}.csr", "-extfile", f"{name}.ext", *signer, "-out", f"{name}.crt")


class Issuer(Openssl):
    """Signs tokens. Nobody need reach it: whoever trusts it is given `keys`."""

    def __init__(self, directory: Path, url: str) -> None:
        super().__init__(directory)
        self.url = url
        self.run("genrsa", "-out", "issuer.key", "2048")
        told = self.run("rsa", "-in", "issuer.key", "-noout", "-modulus").decode()
        modulus = bytes.fromhex(told.strip().partition("=")[2])
        key = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "key", "n": _base64url(modulus), "e": _base64url(b"\1\0\1")}
        self.keys = json.dumps({"keys": [key]})

    def token(self, subject: str, name: str, *, seconds: int = 1200, **claims: str) -> Path:
        """A file 0600 with a token that is good for so long."""
        now = int(time.time())
        times = {"iat": now - 3600, "nbf": now - 3600, "exp": now + seconds}
        head = {"alg": "RS256", "typ": "JWT", "kid": "key"}
        body = {"iss": self.url, "sub": subject, **claims, **times}
        said = ".".join(_base64url(json.dumps(part).encode()) for part in (head, body))
        signature = self.run("dgst", "-sha256", "-sign", "issuer.key", stdin=said.encode())
        return self.private(name, f"{said}.{_base64url(signature)}\n")


def _new_key(name: str) -> Sequence[str]:
    return ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
