"""Rows of `interlink-plugin check arc`, and its metrics: what is wrong between this plugin and its computing elements."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from interlink_arc import capacity
from interlink_arc.credentials import REVOCATION_LISTS, Credential
from interlink_arc.settings import ArcSettings
from interlink_arc.sites import Site, Sites
from interlink_common.backend import CheckResult, Gauge, Verdict
from interlink_common.batchsystem.runner import check_runtimes
from interlink_common.errors import BackendUnavailable, ConfigurationError, PluginError

SOON_SECONDS = 24 * 3600


async def results(sites: Sites, settings: ArcSettings) -> list[CheckResult]:
    """Every row."""
    try:
        sites.require_configured()
    except ConfigurationError as error:
        return [CheckResult("configuration", Verdict.FAILED, str(error), "See the operator's page on credentials")]
    rows = [credential(each) for each in sites.credentials()]
    rows.append(trust(settings))
    for site in sites.all():
        rows += await element(site, settings)
    rows.append(check_runtimes(settings.runner))
    return rows


def credential(each: Credential) -> CheckResult:
    name = f"credential, {each.name}"
    try:
        end = each.expires_at()
    except BackendUnavailable as error:
        return CheckResult(name, Verdict.FAILED, str(error), "Renew the file")
    if end is None:
        verdict = Verdict.OK if each.is_set else Verdict.WARNING
        return CheckResult(name, verdict, "its end is not known" if each.is_set else "none is set", "Set credential")
    detail = f"it is good until {datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC"
    if end <= time.time():
        return CheckResult(
            name, Verdict.FAILED, detail.replace("is good", "was good"), "Renew the file; the plugin reads it again by itself"
        )
    if end - time.time() < SOON_SECONDS:
        return CheckResult(name, Verdict.WARNING, detail, "Make sure that something renews the file")
    return CheckResult(name, Verdict.OK, detail)


def trust(settings: ArcSettings) -> CheckResult:
    directory = settings.trust.ca_directory
    authorities = len(list(directory.glob("*.[0-9]")))
    if not authorities:
        remedy = "Install the certificates of the authorities, by hash (openssl rehash), or set trust.ca_directory"
        return CheckResult("authorities", Verdict.FAILED, f"{directory} holds none", remedy)
    lists = len(list(directory.glob(REVOCATION_LISTS)))
    checked = f"{lists} revocation lists, which every certificate is checked with" if lists else "no revocation lists"
    return CheckResult("authorities", Verdict.OK, f"{directory}: {authorities}, and {checked}")


async def element(site: Site, settings: ArcSettings) -> list[CheckResult]:
    """Whether it answers, knows us, and has what jobs will ask for."""
    name = f"{site.name}, {site.credential.name}"
    try:
        jobs = await site.element.ids()
        service = await site.element.service()
    except PluginError as error:
        return [CheckResult(name, Verdict.FAILED, str(error), "Check ces, the credential, and the access rules of the computing element")]
    software = capacity.version(service)
    first = CheckResult(name, Verdict.OK, f"{site.url}, ARC {software or 'of an unknown version'}, {len(jobs)} jobs of this plugin")
    return [first, *missing(name, site.name, service, settings)]


def missing(name: str, ce: str, service: dict[str, Any], settings: ArcSettings) -> Iterator[CheckResult]:
    """Queues and runtime environments that are asked for and not published."""
    queues = {settings.ces[ce].queue, *settings.queues.values(), *(device.queue for device in settings.devices.values())} - {""}
    for queue in sorted(queues - set(capacity.queues(service))):
        yield CheckResult(
            name, Verdict.WARNING, f"it publishes no queue {queue}", "The computing element does not accept jobs for that queue"
        )
    wanted = [*settings.job.runtime_environments, *settings.cvmfs.runtime_environments]
    wanted += [each for device in settings.devices.values() for each in device.runtime_environments]
    for environment in sorted({each.name for each in wanted} - set(capacity.runtime_environments(service))):
        detail = f"it publishes no runtime environment {environment}"
        yield CheckResult(name, Verdict.WARNING, detail, "Its administrator can enable it: arcctl rte enable")


def gauges(sites: Sites) -> Sequence[Gauge]:
    """When each credential ends, and whether each computing element answers."""
    return [*_ends(sites), *_answers(sites)]


def _ends(sites: Sites) -> Iterator[Gauge]:
    for each in sites.credentials():
        try:
            end = each.expires_at()
        except BackendUnavailable:
            end = 0.0
        if end is not None:
            labels = {"credential": each.name}
            yield Gauge("interlink_credential_expiry_timestamp_seconds", "When the credential ends, unix seconds.", end, labels)


def _answers(sites: Sites) -> Iterator[Gauge]:
    for site in sites.all():
        labels = {"ce": site.name, "credential": site.credential.name}
        yield Gauge("interlink_arc_ce_up", "1 while the computing element answers.", float(not site.down), labels)
