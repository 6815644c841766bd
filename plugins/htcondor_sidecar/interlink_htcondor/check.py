"""Rows of `interlink-plugin check htcondor`: what is wrong between this plugin and its pool, and what to do about it."""

from __future__ import annotations

from interlink_common.backend import CheckResult, Verdict
from interlink_common.batchsystem.runner import check_runtimes
from interlink_common.errors import ConfigurationError, PluginError
from interlink_htcondor import ads
from interlink_htcondor.capacity import offered, projection
from interlink_htcondor.identities import Identities, Identity
from interlink_htcondor.quoting import quoted
from interlink_htcondor.settings import HTCondorSettings

OLDEST = (23, 0)


async def results(identities: Identities, settings: HTCondorSettings) -> list[CheckResult]:
    """Every row; a pool that can't be reached leaves only the first."""
    try:
        identity = identities.own
    except ConfigurationError as error:
        return [CheckResult("credential", Verdict.FAILED, str(error), "See the operator's page on tokens")]
    first = await schedd(identity, settings)
    if first.verdict is Verdict.FAILED:
        return [first]
    return [first, await rights(identity, settings), await slots(identity, settings), event_log(settings), check_runtimes(settings.runner)]


async def schedd(identity: Identity, settings: HTCondorSettings) -> CheckResult:
    try:
        found = await identity.orders.call("versions", timeout_seconds=settings.pool.call_timeout_seconds)
    except PluginError as error:
        return CheckResult("schedd", Verdict.FAILED, str(error), "Check pool.collector, pool.schedd and the credential")
    version = str(found["schedd"]).split()[1]
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        return CheckResult("schedd", Verdict.WARNING, f"{found['name']} runs HTCondor {version}", "Only 23.9 and 25.x were tested")
    return CheckResult("schedd", Verdict.OK, f"{found['name']} runs HTCondor {version}")


async def rights(identity: Identity, settings: HTCondorSettings) -> CheckResult:
    """Whether we may look at the queue; whether we may submit shows with the first pod."""
    constraint = f"{ads.INSTANCE} =?= {quoted(settings.instance)}"
    try:
        rows = await identity.orders.call(
            "query", timeout_seconds=settings.pool.call_timeout_seconds, constraint=constraint, projection=["ClusterId"]
        )
    except PluginError as error:
        return CheckResult("queue", Verdict.FAILED, str(error), "The credential needs READ and WRITE at the schedd")
    return CheckResult("queue", Verdict.OK, f"{len(rows)} jobs of this plugin")


async def slots(identity: Identity, settings: HTCondorSettings) -> CheckResult:
    if settings.capacity.source == "fixed":
        return CheckResult("slots", Verdict.OK, "capacity is set to fixed numbers")
    try:
        rows = await identity.orders.call(
            "slots",
            timeout_seconds=settings.pool.call_timeout_seconds,
            constraint=settings.capacity.constraint,
            projection=projection(settings),
        )
    except PluginError as error:
        return CheckResult("slots", Verdict.FAILED, str(error), "Set capacity.source to fixed if the plugin cannot read the slots")
    total = offered(rows, settings)
    detail = f"{(total.cpu_millis or 0) // 1000} cpus, {(total.memory_bytes or 0) // 2**30} GiB of memory"
    if not total.cpu_millis:
        return CheckResult("slots", Verdict.WARNING, detail, "Check capacity.constraint, or set capacity.source to fixed")
    return CheckResult("slots", Verdict.OK, detail)


def event_log(settings: HTCondorSettings) -> CheckResult:
    path = settings.follow.event_log
    if path is None:
        return CheckResult("event log", Verdict.OK, f"not read; states are at most {settings.follow.poll_seconds:g} s old")
    try:
        path.open("rb").close()
    except OSError as error:
        return CheckResult(
            "event log", Verdict.WARNING, f"{path}: {error.strerror}", "Mount the schedd’s EVENT_LOG, readable for this user"
        )
    return CheckResult("event log", Verdict.OK, f"{path} is read")
