"""Sites: a computing element seen with one credential. Which of them a pod goes to, and how many requests become one; a pod at one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import structlog

from interlink_arc.client import Element
from interlink_arc.credentials import Credential
from interlink_arc.settings import ArcSettings
from interlink_arc.states import ArcJob
from interlink_arc.translate import Choice
from interlink_common.batchsystem.batches import Batches
from interlink_common.batchsystem.pods import FollowedPod
from interlink_common.errors import BackendUnavailable, ConfigurationError, PluginError, Temporary
from interlink_common.model.patterns import best

log = structlog.get_logger(__name__)

OWN = "the plugin’s own"
"""The name of its credential: no namespace can have it."""


class Site:
    """`name` is that of the computing element in the settings. `down`: why it does not answer; "" while it does, or nobody asked."""

    def __init__(self, name: str, element: Element, settings: ArcSettings) -> None:
        self.name = name
        self.element = element
        self.down = ""
        self.foreign: set[str] = set()
        """Jobs of this credential that are not ours: their descriptions are read once."""
        most = settings.jobs_per_call
        self.submits: Batches[bytes, str | PluginError] = Batches(element.submit, most=most)
        self._acts: dict[str, Batches[str, int]] = {action: Batches(self._act(action), most=most) for action in ("kill", "clean")}

    @property
    def url(self) -> str:
        return self.element.url

    @property
    def credential(self) -> Credential:
        return self.element.credential

    def _act(self, action: str) -> Callable[[Sequence[str]], Awaitable[Sequence[int]]]:
        async def act(ids: Sequence[str]) -> Sequence[int]:
            codes = await self.element.act(action, ids)
            return [codes.get(job, 0) for job in ids]

        return act

    async def act(self, action: str, job: str) -> int:
        """kill or clean: the status code of that job; many that are asked for together are one request."""
        return await self._acts[action].do(job)

    def answered(self) -> None:
        if self.down:
            log.info("computing element reachable again", ce=self.name, url=self.url, credential=self.credential.name)
        self.down = ""

    def failed(self, error: Temporary) -> None:
        if not self.down:
            log.warning("computing element unreachable", ce=self.name, url=self.url, credential=self.credential.name, error=str(error))
        self.down = str(error)

    async def close(self) -> None:
        await self.submits.close()
        for batches in self._acts.values():
            await batches.close()
        await self.element.close()


@dataclass(eq=False)
class ArcPod(FollowedPod[ArcJob]):
    """Its job is at `site`, where its name is `id`; `environments` are the runtime environments that it asks for."""

    site: Site = field(kw_only=True)
    id: str = field(kw_only=True)
    environments: tuple[str, ...] = field(kw_only=True, default=())


class Sites:
    """All of them, each made when it is first needed."""

    def __init__(self, settings: ArcSettings) -> None:
        self._settings = settings
        self._credentials = {OWN: Credential(OWN, settings.credential, settings.trust)}
        for pattern, tenant in settings.tenants.items():
            if tenant.credential is not None:
                self._credentials[pattern] = Credential(pattern, tenant.credential, settings.trust)
        self._made: dict[tuple[str, str], Site] = {}
        self._turns: dict[tuple[str, ...], dict[str, int]] = {}

    async def close(self) -> None:
        for site in self._made.values():
            await site.close()
        self._made.clear()

    def require_configured(self) -> None:
        """Raises ConfigurationError for files that are not as they should be, and where no computing element is named."""
        if not self._settings.ces:
            raise ConfigurationError("ces must name at least one computing element, with its url")
        for credential in self._credentials.values():
            credential.require_private()

    def credentials(self) -> Sequence[Credential]:
        """Every one of the settings: the plugin's own first."""
        return list(self._credentials.values())

    def all(self) -> list[Site]:
        """Every computing element with every credential that may be used there."""
        found = []
        for name, credential in self._credentials.items():
            if name != OWN or credential.is_set or len(self._credentials) == 1:
                allowed = self._settings.tenants[name].ces if name != OWN else []
                found += [self._site(ce, name) for ce in self._settings.ces if not allowed or ce in allowed]
        return found

    def of(self, namespace: str, ce: str) -> Site:
        """The computing element as it is seen for pods of a namespace."""
        pattern = best(self._settings.tenants, namespace)
        return self._site(ce, pattern if pattern is not None and pattern in self._credentials else OWN)

    def _site(self, ce: str, credential: str) -> Site:
        key = (ce, credential)
        if key not in self._made:
            settings = self._settings
            element = Element(
                settings.ces[ce].url,
                self._credentials[credential],
                timeout_seconds=settings.call_timeout_seconds,
                requests_at_once=settings.requests_at_once,
            )
            self._made[key] = Site(ce, element, settings)
        return self._made[key]

    def at(self, namespace: str, url: str) -> Site:
        """The one of a recorded job, by its address. Raises BackendUnavailable if the settings no longer name it."""
        for name, element in self._settings.ces.items():
            if element.url == url:
                return self.of(namespace, name)
        raise BackendUnavailable(f"ces no longer names the computing element {url}, where this pod runs")

    def choose(self, namespace: str, choice: Choice) -> Site:
        """The next one by weight of those that answer. Raises BackendUnavailable if none does."""
        sites = {name: self.of(namespace, name) for name in choice.ces}
        weights = {
            name: self._settings.ces[name].weight for name, site in sites.items() if not site.down and self._settings.ces[name].weight
        }
        if not weights:
            down = "; ".join(site.down for site in sites.values() if site.down)
            raise BackendUnavailable(down or f"the weight of {', '.join(choice.ces)} is 0: no new pods are sent there")
        turns = self._turns.setdefault(choice.ces, {})
        for name, weight in weights.items():
            turns[name] = turns.get(name, 0) + weight
        chosen = max(weights, key=lambda name: turns[name])
        turns[chosen] -= sum(weights.values())
        return sites[chosen]
