"""The processes that talk to a pool: their credentials, one plugin at a time, and the errors of the SDK."""

from __future__ import annotations

from pathlib import Path

import htcondor2
import pytest

from interlink_common.errors import BackendUnavailable, ConfigurationError
from interlink_htcondor.client import answer, is_refusal
from interlink_htcondor.identities import Identities, environment_of
from interlink_htcondor.process import ClientProcess
from interlink_htcondor.settings import CredentialSettings
from tests.unit.htcondor.pods import settings


def test_a_credential_is_a_private_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    for mode, complaint in ((None, "cannot be read"), (0o644, "may be read by others")):
        if mode is not None:
            token.touch()
            token.chmod(mode)
        with pytest.raises(ConfigurationError, match=complaint):
            environment_of(CredentialSettings(token_file=token), settings(), tmp_path / "credentials")
    token.chmod(0o600)
    told = environment_of(CredentialSettings(token_file=token), settings(pool={"collector": "cm"}), tmp_path / "credentials")
    assert told["_CONDOR_SEC_TOKEN_DIRECTORY"] == str(tmp_path / "credentials")
    assert (told["_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS"], told["_CONDOR_COLLECTOR_HOST"]) == ("IDTOKENS", "cm")
    assert (tmp_path / "credentials").stat().st_mode & 0o777 == 0o700


def test_other_credentials(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("scitoken_file", "x509_proxy_file")}
    for path in files.values():
        path.touch(0o600)
    told = environment_of(CredentialSettings(**files, ca_directory=tmp_path), settings(), tmp_path / "credentials")
    assert told["_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS"] == "SCITOKENS,SSL"
    assert (told["_CONDOR_SCITOKENS_FILE"], told["X509_USER_PROXY"]) == tuple(map(str, files.values()))


async def test_a_second_plugin_waits_for_the_processes_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlink_htcondor.identities.LOCK_PATIENCE_SECONDS", 0.1)
    first, second = (Identities(settings(state_dir=tmp_path)) for _ in range(2))
    await first.open()
    with pytest.raises(BackendUnavailable):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_a_pool_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    process = ClientProcess("test", ("127.0.0.1:1", "nobody"), {"CONDOR_CONFIG": "/dev/null", "PATH": "/bin"}, None)
    with pytest.raises(BackendUnavailable, match="HTCondor pool"):
        await process.call("versions", timeout_seconds=30)
    with pytest.raises(BackendUnavailable, match="did not answer in time"):
        await process.call("versions", timeout_seconds=0.0)
    await process.close()


def test_every_exception_of_the_sdk_is_told_and_only_a_submit_is_refused() -> None:
    exceptions = [kind for kind in vars(htcondor2).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert htcondor2.HTCondorException in exceptions

    class Broken:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def query(self) -> None:
            raise self.error

        submit = query

        def forget(self) -> None:
            pass

    for kind in [*exceptions, OSError, RuntimeError, ValueError, KeyError, LookupError]:
        for call in ("query", "submit"):
            told = answer(Broken(kind("SECMAN:2004")), f'{{"call": "{call}", "arguments": {{}}}}')  # type: ignore[arg-type]
            assert told["error"]
            assert told["refused"] == (call == "submit" and kind in (ValueError, KeyError))
    assert is_refusal(htcondor2.HTCondorException("Failed to parse submit expression"), "submit")
