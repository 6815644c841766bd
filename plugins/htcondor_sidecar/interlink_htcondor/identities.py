"""Who we are for the schedd: each credential has processes of its own, because HTCondor keeps sessions per process."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from interlink_common.batchsystem.files import private_directory, require_private
from interlink_common.errors import BackendUnavailable
from interlink_htcondor.process import ClientProcess
from interlink_htcondor.settings import CredentialSettings, HTCondorSettings
from interlink_htcondor.translate import tenant_of

LOCK_PATIENCE_SECONDS = 5.0


class Identity:
    """`orders` is for short calls and submits; `files` for those that fetch files, which may take long."""

    def __init__(self, name: str, environment: dict[str, str], settings: HTCondorSettings, lock: int | None) -> None:
        self.name = name
        arguments = (settings.pool.collector, settings.pool.schedd)
        self.orders = ClientProcess(f"{name} orders", arguments, environment, lock)
        self.files = ClientProcess(f"{name} files", arguments, environment, lock)
        self._submits = ClientProcess(f"{name} submits", arguments, environment, lock)

    @property
    def submitter(self) -> ClientProcess:
        """A process of its own while `orders` is at work: two calls that send files take the schedd two thirds of the time."""
        return self._submits if self.orders.is_busy else self.orders

    async def close(self) -> None:
        await asyncio.gather(self.orders.close(), self.files.close(), self._submits.close())


class Identities:
    """All of them, each made when it is first needed. Needs `open` before."""

    def __init__(self, settings: HTCondorSettings) -> None:
        self._settings = settings
        self._made: dict[str, Identity] = {}
        self._events: ClientProcess | None = None
        self._lock: int | None = None

    async def open(self) -> None:
        """Waits for the processes of a plugin that was killed. Raises BackendUnavailable while one is still in a call."""
        if self._lock is None:
            private_directory(self._settings.state_dir)
            self._lock = os.open(self._settings.state_dir / "processes.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = asyncio.get_running_loop().time() + LOCK_PATIENCE_SECONDS
        while not _locked(self._lock):
            if asyncio.get_running_loop().time() > deadline:
                raise BackendUnavailable("a process of the previous plugin is still in a call to the HTCondor pool")
            await asyncio.sleep(0.1)

    async def close(self) -> None:
        await asyncio.gather(*(identity.close() for identity in self._made.values()))
        self._made.clear()
        if self._events is not None:
            await self._events.close()
            self._events = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def events(self) -> ClientProcess:
        """A process that does nothing but wait for the event log, which may be long."""
        if self._events is None:
            self._events = ClientProcess(
                "events", (self._settings.pool.collector, self._settings.pool.schedd), dict(os.environ), self._lock
            )
        return self._events

    @property
    def own(self) -> Identity:
        return self._identity("own", self._settings.credential)

    def of(self, namespace: str) -> Identity:
        """Whose jobs the pods of a namespace are."""
        credential = tenant_of(namespace, self._settings).credential
        if credential is None:
            return self.own
        return self._identity(f"tenant-{list(self._credentials()).index(credential)}", credential)

    def _credentials(self) -> Iterator[CredentialSettings]:
        for tenant in self._settings.tenants.values():
            if tenant.credential is not None:
                yield tenant.credential

    def _identity(self, name: str, credential: CredentialSettings) -> Identity:
        if name not in self._made:
            environment = environment_of(credential, self._settings, self._settings.state_dir / "credentials" / name)
            self._made[name] = Identity(name, environment, self._settings, self._lock)
        return self._made[name]


def environment_of(credential: CredentialSettings, settings: HTCondorSettings, directory: Path) -> dict[str, str]:
    """The variables of a process that is to be that identity; `directory` gets what HTCondor wants in a directory, 0700.

    With nothing set it is our own environment: HTCondor's own configuration of this host decides. Raises ConfigurationError.
    """
    files = {
        "credential.token_file": credential.token_file,
        "credential.scitoken_file": credential.scitoken_file,
        "credential.x509_proxy_file": credential.x509_proxy_file,
    }
    for setting, path in files.items():
        if path is not None:
            require_private(path, setting)
    variables: dict[str, str] = {}
    if settings.pool.collector:
        variables |= {"CONDOR_CONFIG": "/dev/null", "_CONDOR_COLLECTOR_HOST": settings.pool.collector}
    methods = []
    if credential.token_file is not None:
        private_directory(directory)
        link = directory / "token"
        link.unlink(missing_ok=True)
        link.symlink_to(credential.token_file.absolute())
        variables["_CONDOR_SEC_TOKEN_DIRECTORY"] = str(directory)
        methods.append("IDTOKENS")
    if credential.scitoken_file is not None:
        variables["_CONDOR_SCITOKENS_FILE"] = str(credential.scitoken_file.absolute())
        methods.append("SCITOKENS")
    if credential.x509_proxy_file is not None:
        variables["X509_USER_PROXY"] = str(credential.x509_proxy_file.absolute())
        variables["_CONDOR_AUTH_SSL_USE_CLIENT_PROXY_ENV_VAR"] = "true"
        methods.append("SSL")
    if credential.ca_directory is not None:
        variables["_CONDOR_AUTH_SSL_CLIENT_CADIR"] = str(credential.ca_directory)
    if methods:
        variables["_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS"] = ",".join(methods)
    return {**os.environ, **variables}


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
