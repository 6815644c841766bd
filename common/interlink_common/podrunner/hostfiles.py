"""/etc/hosts and /etc/resolv.conf of a pod's containers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from interlink_common.model.workload import Dns, Workload
from interlink_common.podrunner.container_runtime import Bind

HOSTS, RESOLV_CONF = "/etc/hosts", "/etc/resolv.conf"


def binds(workload: Workload, hostname: str, directory: Path, taken: Collection[str]) -> tuple[Bind, ...]:
    """Writes the files and says where they go; nothing where the pod mounts something of its own."""
    texts = {HOSTS: hosts(_read(HOSTS), hostname, workload.host_aliases)}
    if workload.dns.nameservers or workload.dns.searches or workload.dns.options or workload.dns.policy == "None":
        texts[RESOLV_CONF] = resolv_conf(_read(RESOLV_CONF), workload.dns)
    found = []
    for target, text in texts.items():
        if target not in taken:
            file = directory / Path(target).name
            file.write_text(text)
            found.append(Bind(str(file), target, read_only=True, needed=False))
    return tuple(found)


def hosts(of_node: str, hostname: str, aliases: Collection[tuple[str, tuple[str, ...]]]) -> str:
    """The node's table, the pod's name, and its hostAliases."""
    lines = [f"127.0.0.1\t{hostname}"]
    if aliases:
        lines += ["# Entries added by HostAliases.", *("\t".join((address, *names)) for address, names in aliases)]
    return of_node.rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def resolv_conf(of_node: str, dns: Dns) -> str:
    """v1.PodDNSConfig; policy None takes nothing of the node's."""
    base = [] if dns.policy == "None" else [line.split() for line in of_node.splitlines() if line and line[0] not in "#;"]
    servers = [word for words in base if words[:1] == ["nameserver"] for word in words[1:]] + list(dns.nameservers)
    searches = [word for words in base if words[:1] == ["search"] for word in words[1:]] + list(dns.searches)
    options = [word for words in base if words[:1] == ["options"] for word in words[1:]] + list(dns.options)
    lines = [f"nameserver {server}" for server in dict.fromkeys(servers)]
    lines += [f"{word} {' '.join(dict.fromkeys(values))}" for word, values in (("search", searches), ("options", options)) if values]
    return "".join(f"{line}\n" for line in lines)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""
