"""From a Workload to the submit description of its job. Pure. Every byte of the pod passes `quoting`; the rest is the operator's.

Sources: condor_submit(1); HTCondor manual, "Job ClassAd Attributes"; HTCondor-CE, "Job attributes" (xcount, maxMemory, maxWallTime).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase

from interlink_common.batchsystem.jobs import cpus as cpus_rounded_up
from interlink_common.batchsystem.jobs import disk_bytes, memory_bytes, walltime_seconds
from interlink_common.batchsystem.policy import require_tenant
from interlink_common.batchsystem.settings import MEBIBYTE
from interlink_common.errors import Refused
from interlink_common.jobbundle.bundle import ARCHIVE, POD, RUNNER
from interlink_common.model.codec import packed_stub
from interlink_common.model.images import cvmfs_repositories
from interlink_common.model.patterns import fit
from interlink_common.model.workload import Workload
from interlink_common.podrunner.chirp import GRACE_SECONDS
from interlink_common.translation.quantities import whole
from interlink_htcondor import ads
from interlink_htcondor.quoting import attribute_part, quoted
from interlink_htcondor.settings import HTCondorSettings, TenantSettings

Description = dict[str, str]

KIBIBYTE = 1024
STOP_MARGIN_SECONDS = 30
"""What podrunner may take beyond the grace to tell how the pod ended."""
LEAVE_IN_QUEUE = "JobStatus == 4 && (CompletionDate =?= undefined || CompletionDate == 0 || time() - CompletionDate < 864000)"
"""Until we remove it, ten days at most. HTCondor's own rule lets a spooled job go that was fetched once, be it while it ran."""
REPOSITORY = re.compile(r"[A-Za-z0-9.-]+")

OWNER = "My.Owner"
ON_EVICTION = "interlink.eu/on-eviction"
GPU_MEMORY = ("interlink.eu/gpus-minimum-memory", "nvidia.com/gpu.memory")
"""Annotation, a quantity; node selector, in MiB as NVIDIA's feature discovery labels nodes."""
GPU_CAPABILITY = "interlink.eu/gpus-minimum-capability"
GPU_PRODUCT = "nvidia.com/gpu.product"


def tenant_of(namespace: str, settings: HTCondorSettings) -> TenantSettings:
    """What differs for this namespace. Pods of one that no key fits are not admitted; one that runs already goes on."""
    return fit(settings.tenants, namespace) or TenantSettings()


def describe(workload: Workload, directory: str, shared: str, settings: HTCondorSettings) -> Description:
    """The submit description: command -> value. `directory` holds the pod's own files, `shared` those that all pods have.

    Raises Refused for an annotation that says nothing, and for a device that nobody maps.
    """
    tenant, job = tenant_of(workload.namespace, settings), settings.job
    walltime = walltime_seconds(workload, job.walltime_seconds)
    description = {
        "universe": job.universe,
        "executable": f"{shared}/start.sh",
        "initialdir": directory,
        "transfer_input_files": f"{shared}/{ARCHIVE},{shared}/{RUNNER},{POD}",
        "should_transfer_files": "YES",
        "when_to_transfer_output": "ON_EXIT",
        "output": "podrunner.out",
        "error": "podrunner.err",
        "notification": "never",
        "kill_sig": "SIGTERM",
        "leave_in_queue": LEAVE_IN_QUEUE,
        "job_max_vacate_time": f"{GRACE_SECONDS} + {STOP_MARGIN_SECONDS}",
        "request_cpus": str(cpus(workload, settings)),
        "request_memory": str(mebibytes(workload, settings)),
        "request_disk": str(math.ceil(disk_bytes(workload, job) / KIBIBYTE)),
        "priority": str(job.priority if tenant.priority is None else tenant.priority),
        "My.WantIOProxy": "true",
        "My.WantGracefulRemoval": "true",
        **dict(identity(workload, settings)),
        **dict(devices(workload, settings)),
    }
    image = job.container_image if job.universe == "container" else ""
    optional = {
        "container_image": image,
        "transfer_container": "false" if image.startswith("/") else "",
        "requirements": " && ".join(f"({part})" for part in requirements(workload, settings)),
        "rank": job.rank,
        "accounting_group": tenant.accounting_group or job.accounting_group,
        "allowed_execute_duration": "" if walltime is None else str(walltime),
        OWNER: quoted(tenant.owner) if tenant.owner else "",
        "x509userproxy": str((tenant.credential or settings.credential).x509_proxy_file or ""),
    }
    extra = {f"My.{name}": expression for name, expression in {**job.attributes, **tenant.attributes}.items()}
    return {**description, **{key: value for key, value in optional.items() if value}, **extra}


def require_expressible(workload: Workload, settings: HTCondorSettings) -> None:
    """Raises whatever `describe` would raise for this pod, and Refused for a namespace that is not served."""
    require_tenant(workload.namespace, settings.tenants)
    on_eviction(workload, settings)
    for _ in (*devices(workload, settings), *requirements(workload, settings)):
        pass


def identity(workload: Workload, settings: HTCondorSettings) -> Iterator[tuple[str, str]]:
    """Whose job this is: what `ads` reads again, and the labels for whoever looks with condor_q."""
    yield f"My.{ads.INSTANCE}", quoted(settings.instance)
    yield f"My.{ads.POD_UID}", quoted(workload.uid)
    yield f"My.{ads.POD_NAME}", quoted(workload.name)
    yield f"My.{ads.NAMESPACE}", quoted(workload.namespace)
    yield f"My.{ads.POD}", f'"{packed_stub(workload)}"'
    yield f"My.{ads.ON_EVICTION}", quoted(on_eviction(workload, settings))
    yield f"My.{GRACE_SECONDS}", str(workload.grace_seconds)
    for key, value in sorted(workload.labels.items()):
        yield f"My.InterLinkLabel_{attribute_part(key)}", quoted(value)
    for key, value in sorted(workload.annotations.items()):
        if any(fnmatchcase(key, pattern) for pattern in settings.job.annotations):
            yield f"My.InterLinkAnnotation_{attribute_part(key)}", quoted(value)


def on_eviction(workload: Workload, settings: HTCondorSettings) -> str:
    """rerun or fail."""
    asked = workload.annotations.get(ON_EVICTION, settings.evictions.policy)
    if asked not in ("rerun", "fail"):
        raise Refused(f"annotation {ON_EVICTION} must be rerun or fail")
    return asked


def cpus(workload: Workload, settings: HTCondorSettings) -> int:
    if settings.job.cpus == "up":
        return cpus_rounded_up(workload, settings.job)
    return max((workload.size.cpu_millis or settings.job.default_cpu_millis) // 1000, 1)


def mebibytes(workload: Workload, settings: HTCondorSettings) -> int:
    return math.ceil(memory_bytes(workload, settings.job) / MEBIBYTE)


def requirements(workload: Workload, settings: HTCondorSettings) -> Iterator[str]:
    """Expressions that a slot must fulfil, each."""
    yield from filter(None, (settings.job.requirements, tenant_of(workload.namespace, settings).requirements))
    if settings.cvmfs.attribute:
        for repository in repositories(workload, settings):
            name = settings.cvmfs.attribute.replace("*", re.sub(r"[.-]", "_", repository))
            yield f"TARGET.{name} =?= true"
    if on_eviction(workload, settings) == "fail":
        yield "MY.NumShadowStarts =?= undefined || MY.NumShadowStarts == 0"  # it never starts again, whoever looks after it


def repositories(workload: Workload, settings: HTCondorSettings) -> Sequence[str]:
    """CVMFS repositories by name, those that images come from included."""
    asked = cvmfs_repositories(workload, settings.runner.images, settings.cvmfs.path)
    for repository in asked:
        if not REPOSITORY.fullmatch(repository):
            raise Refused(f"{repository} is not the name of a CVMFS repository")
    return sorted(asked)


def devices(workload: Workload, settings: HTCondorSettings) -> Iterator[tuple[str, str]]:
    gpus = 0
    for resource, count in sorted(workload.size.devices.items()):
        if any(fnmatchcase(resource, pattern) for pattern in settings.devices.gpus):
            gpus += count
        elif resource in settings.devices.custom:
            yield f"request_{settings.devices.custom[resource]}", str(count)
        else:
            raise Refused(f"resource {resource} is not offered here; the operator can map it with devices.custom")
    if gpus:
        yield "request_gpus", str(gpus)
        yield from gpu_wishes(workload)


def gpu_wishes(workload: Workload) -> Iterator[tuple[str, str]]:
    annotation, selector = GPU_MEMORY
    memory = workload.annotations.get(annotation) or _mebi(workload.placement.node_selector.get(selector, ""))
    if memory:
        yield "gpus_minimum_memory", str(math.ceil(whole(memory, f"annotation {annotation}") / MEBIBYTE))
    capability = workload.annotations.get(GPU_CAPABILITY, "")
    if capability:
        if not re.fullmatch(r"\d+(\.\d+)?", capability):
            raise Refused(f"annotation {GPU_CAPABILITY} must be a number such as 8.0")
        yield "gpus_minimum_capability", capability
    product = workload.placement.node_selector.get(GPU_PRODUCT, "")
    if product:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", product):
            raise Refused(f"node selector {GPU_PRODUCT} must be the name of a product")
        # Kubernetes' label has hyphens where the device's own name has blanks, and a maker that not every driver tells.
        pattern = product.removeprefix("NVIDIA-").replace(".", "[.]").replace("-", "[ -]")
        yield "require_gpus", f'regexp("^(NVIDIA )?{pattern}$", DeviceName)'


def _mebi(number: str) -> str:
    return f"{number}Mi" if number else ""


def kind(description: Description) -> tuple[str, ...]:
    """What descriptions must have alike to be one transaction: their commands, and whose jobs they are."""
    return (description.get(OWNER, ""), *sorted(description))


def transaction(descriptions: Sequence[Description]) -> tuple[Description, list[dict[str, str]]]:
    """Descriptions of one kind as (template, items). What is alike stands in the template, what differs in the items."""
    first = descriptions[0]
    varying = {key: f"v{number}" for number, key in enumerate(sorted(first)) if len({each[key] for each in descriptions}) > 1}
    varying = varying or {"initialdir": "v0"}  # an item needs a variable
    template = {key: f"$({varying[key]})" if key in varying else value for key, value in first.items()}
    return template, [{name: each[key] for key, name in varying.items()} for each in descriptions]
