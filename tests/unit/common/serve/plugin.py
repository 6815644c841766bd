"""A whole plugin on a unix socket, over the scripted site."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from interlink_common.serve.listeners import Server
from interlink_common.testing.scripted import Site
from interlink_common.testing.scripts import Script
from interlink_common.tracking.node import VirtualNode
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import PluginClient
from interlink_common.virtualkubelet.manifests import from_documents


class Plugin:
    """What a test holds of it."""

    def __init__(self, node: VirtualNode, client: PluginClient, site: Site, server: Server) -> None:
        self.node, self.client, self.site, self.server = node, client, site, server

    @staticmethod
    def pod(name: str = "p", **script: Any) -> VirtualPod:
        container = {"name": "main", "image": "i", "command": Script(**script).command()}
        document = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {"restartPolicy": "Never", "containers": [container]},
        }
        return VirtualPod.admit(from_documents([document]), now=0)


StartPlugin = Callable[..., AbstractAsyncContextManager[Plugin]]
"""With settings, as keywords."""
