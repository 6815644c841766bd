"""Pulls images: one pull per image, however many pods wait for it, with its progress and, on failure, the engine's own message."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlink_common.agent.runtime import RuntimeUnavailable, StartError
from interlink_common.contract.answers import sentence
from interlink_common.errors import ConfigurationError
from interlink_common.model.images import location, logins, mapped, without_scheme
from interlink_common.model.workload import RegistryCredential
from interlink_common.translation import pull_secrets
from interlink_docker.client import Engine, EngineRefusal
from interlink_docker.settings import ImageSettings

MIB = 1024 * 1024
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]+)?"
REFERENCE = re.compile(
    rf"(?:(?P<domain>(?:{DOMAIN}))/)?(?P<path>{COMPONENT}(?:/{COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>[A-Za-z][A-Za-z0-9.+_-]*:[0-9a-fA-F]{32,}))?"
)


@dataclass(frozen=True)
class Reference:
    """`docker.io`, `library/busybox`, `1.36`, digest: a full image name in its parts; one of tag and digest is never empty."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        return f"{self.domain}/{self.path}"

    @property
    def version(self) -> str:
        """What POST /images/create calls the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        return self.name + (f"@{self.digest}" if self.digest else f":{self.tag}")


def parse(image: str) -> Reference:
    """The full name of an image as a pod writes it. Raises ValueError if it is none."""
    found = REFERENCE.fullmatch(without_scheme(image))
    if found is None or len(image) > 4096:
        raise ValueError(f"{image[:200]} is not the name of an image")
    domain, path = location(f"{found['domain']}/{found['path']}" if found["domain"] else found["path"])
    if path != path.lower():
        raise ValueError(f"{image[:200]} is not the name of an image: it must be lowercase")
    digest = found["digest"] or ""
    return Reference(domain, path, "" if digest else found["tag"] or "latest", digest)


@dataclass
class Progress:
    """The layers of one pull, as the engine reports them."""

    layers: dict[str, tuple[int, int]] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)

    def update(self, document: dict[str, Any]) -> None:
        """Updates the layers from one line of the answer to POST /images/create."""
        layer, status = document.get("id"), document.get("status", "")
        if not layer or status.startswith("Pulling from"):
            return
        detail = document.get("progressDetail") or {}
        current, total = self.layers.get(layer, (0, 0))
        if status == "Downloading":
            current, total = detail.get("current", current), detail.get("total", total)
        elif status in {"Pull complete", "Already exists"}:
            self.complete.add(layer)
            current = total
        self.layers[layer] = (current, total)

    def summary(self) -> str:
        """A few words for the waiting message; "" before the first layer is known."""
        if not self.layers:
            return ""
        current, total = (sum(pair[index] for pair in self.layers.values()) for index in (0, 1))
        return f"{len(self.complete)} of {len(self.layers)} layers, {current // MIB} of {total // MIB} MiB"


@dataclass(frozen=True)
class Pull:
    """One pull of an image under way, with one set of logins."""

    progress: Progress
    task: asyncio.Task[None]


class Images:
    """The images on one engine."""

    def __init__(self, engine: Engine, settings: ImageSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.concurrent_pulls)
        self._pulls: dict[tuple[str, tuple[RegistryCredential, ...]], Pull] = {}
        self._known_present: set[str] = set()

    def reference(self, image: str) -> Reference:
        """The full name to use for an image of a pod. Raises StartError InvalidImageName."""
        try:
            return reference(image, self._settings)
        except ValueError as error:
            raise StartError("InvalidImageName", sentence(str(error))) from None

    async def ensure(self, image: str, policy: str, credentials: Sequence[RegistryCredential]) -> None:
        """Pulls the image if imagePullPolicy says so (the operator's override wins).

        Raises StartError: ErrImagePull with the engine's message, ErrImageNeverPull, InvalidImageName.
        """
        reference = self.reference(image)
        policy = self._settings.pull_policy or policy
        if policy != "Always" and (str(reference) in self._known_present or await self.present(reference)):
            return
        if policy == "Never":
            raise StartError("ErrImageNeverPull", f"Container image {reference} is not present with pull policy of Never")
        where = reference.domain, reference.path
        fitting = (*logins(credentials, *where), *logins(self._operator_credentials(), *where))
        key = (str(reference), fitting)
        if key not in self._pulls:
            progress = Progress()
            task = asyncio.create_task(self._pull(reference, fitting, progress), name=f"pull {reference}")
            task.add_done_callback(lambda _: self._pulls.pop(key, None))
            self._pulls[key] = Pull(progress, task)
        await asyncio.shield(self._pulls[key].task)

    async def present(self, reference: Reference) -> bool:
        try:
            await self._engine.image(str(reference))
        except EngineRefusal as error:
            if error.is_missing:
                self._known_present.discard(str(reference))
                return False
            raise StartError("ErrImagePull", error.message) from None
        self._known_present.add(str(reference))
        return True

    def forget(self, image: str) -> None:
        """The engine no longer has the image; the next `ensure` asks it again."""
        self._known_present.discard(str(self.reference(image)))

    async def user(self, image: str) -> str:
        """The image's own USER, "" if it has none."""
        try:
            return str(((await self._engine.image(str(self.reference(image))))["Config"] or {}).get("User") or "")
        except EngineRefusal as error:
            raise StartError("CreateContainerConfigError", error.message) from None

    def progress(self, image: str) -> str:
        """The progress of a pull of this image in words, "" if there is none."""
        try:
            wanted = str(self.reference(image))
        except StartError:
            return ""
        return next((pull.progress.summary() for (reference, _), pull in self._pulls.items() if reference == wanted), "")

    def _operator_credentials(self) -> tuple[RegistryCredential, ...]:
        path = self._settings.credentials_file
        return read_credentials(path) if path else ()

    async def _pull(self, reference: Reference, fitting: Sequence[RegistryCredential], progress: Progress) -> None:
        """Tries each login that fits, as the kubelet does; without one, anonymously."""
        async with self._slots:
            for login in fitting[:-1]:
                try:
                    return await self._pull_once(reference, login, progress)
                except StartError:
                    continue
            return await self._pull_once(reference, fitting[-1] if fitting else None, progress)

    async def _pull_once(self, reference: Reference, login: RegistryCredential | None, progress: Progress) -> None:
        headers = {} if login is None else {"X-Registry-Auth": auth_header(login)}
        query = {"fromImage": reference.name, "tag": reference.version}
        try:
            async with await self._engine.stream("POST", "/images/create", query=query, headers=headers) as answer:
                async for document in answer.documents():
                    if "error" in document:
                        raise StartError("ErrImagePull", f"failed to pull image {reference}: {sentence(str(document['error']))}")
                    progress.update(document)
        except EngineRefusal as error:
            raise StartError("ErrImagePull", f"failed to pull image {reference}: {error.message}") from None
        except (OSError, EOFError, ValueError) as error:
            raise RuntimeUnavailable("the engine went away during a pull") from error
        if not await self.present(reference):
            raise RuntimeUnavailable("a pull ended without an answer")

    async def close(self) -> None:
        """Stops the pulls under way."""
        pulls = [pull.task for pull in self._pulls.values()]
        for pull in pulls:
            pull.cancel()
        await asyncio.gather(*pulls, return_exceptions=True)


def reference(image: str, settings: ImageSettings) -> Reference:
    """The full name to pull, after the operator's map. Raises ValueError."""
    return parse(mapped(image, settings.mirrors) or image)


def auth_header(login: RegistryCredential) -> str:
    """X-Registry-Auth of the engine's API: URL-safe base64 of a JSON object."""
    login_fields = {"username": login.username, "password": login.password, "serveraddress": login.server}
    return base64.urlsafe_b64encode(json.dumps(login_fields).encode()).decode()


def credentials_of_config(document: object) -> tuple[RegistryCredential, ...]:
    """The logins of a docker config.json (`auths`, with `auth` or username and password). Raises ValueError."""
    return tuple(pull_secrets.logins(document.get("auths", {}) if isinstance(document, dict) else None))


def read_credentials(path: Path) -> tuple[RegistryCredential, ...]:
    """Raises ConfigurationError; the sentence never holds what is in the file."""
    try:
        return credentials_of_config(json.loads(path.read_text()))
    except OSError as error:
        raise ConfigurationError(f"images.credentials_file {path} cannot be read: {error.strerror}") from None
    except ValueError:
        raise ConfigurationError(f"images.credentials_file {path} is not a docker config.json") from None
