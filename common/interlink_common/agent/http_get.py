"""The kubelet's httpGet, small: one GET per connection, only the status matters. Source: pkg/probe/http.

Redirects are followed on the same host only, up to ten; one to another host is the answer itself, a 3xx, hence a success.
Certificates are not verified. What the pod answers is bounded in size, its body is never read.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from interlink_common.model.workload import HttpAction

HEAD_BYTES = 64 * 1024
REDIRECTS = 10
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~"
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r?\n")


@dataclass(frozen=True)
class _Target:
    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


async def get_status(action: HttpAction, address: str, user_agent: str) -> int:
    """The status code at the end of the redirects. Raises OSError, EOFError or ValueError; no time limit of its own."""
    path = action.path if action.path.startswith("/") else f"/{action.path}"
    target = _Target(action.scheme.lower(), address, action.port, quote(path, safe=URL_CHARACTERS).split("#")[0])
    if target.scheme not in ("http", "https"):
        raise ValueError(f"scheme {action.scheme} is neither HTTP nor HTTPS")
    for _ in range(REDIRECTS):
        status, location = await _get(target, action, user_agent)
        if status not in REDIRECT_STATUSES or not location:
            return status
        url = urlsplit(urljoin(f"{target.scheme}://{target.authority}{target.path}", location))
        if url.hostname != target.host.lower() or url.scheme not in ("http", "https"):
            return status
        path = quote(url._replace(scheme="", netloc="", fragment="").geturl() or "/", safe=URL_CHARACTERS)
        target = _Target(url.scheme, target.host, url.port or {"http": 80, "https": 443}[url.scheme], path)
    raise ValueError(f"stopped after {REDIRECTS} redirects")


async def _get(target: _Target, action: HttpAction, user_agent: str) -> tuple[int, str]:
    """Status and Location of one exchange."""
    context = _unverified() if target.scheme == "https" else None
    reader, writer = await asyncio.open_connection(target.host, target.port, ssl=context, limit=HEAD_BYTES)
    try:
        writer.write(_request(target, action, user_agent))
        await writer.drain()
        try:
            head = await reader.readuntil(b"\n\r\n")
        except asyncio.LimitOverrunError as error:
            raise ValueError("the answer has no end of its headers") from error
    finally:
        writer.close()
    status = STATUS_LINE.match(head)
    if status is None:
        raise ValueError("malformed HTTP response")
    location = re.search(rb"\nlocation:[ \t]*([^\r\n]*)", head, re.IGNORECASE)
    return int(status[1]), location[1].decode("latin-1").strip() if location else ""


def _request(target: _Target, action: HttpAction, user_agent: str) -> bytes:
    given = {name.lower() for name, _ in action.headers}
    ours = {"Host": target.authority, "User-Agent": user_agent, "Accept": "*/*", "Connection": "close"}
    headers = [(name, value) for name, value in ours.items() if name.lower() not in given] + list(action.headers)
    lines = [f"GET {target.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header of the httpGet action has a line break")
    return "\r\n".join([*lines, "", ""]).encode("utf-8")


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
