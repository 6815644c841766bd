"""From a Workload to the description of its job in ADL. Pure. It is built as a tree, never as text, and no byte of the pod's own is in it
but its packed stub: the rest of the pod travels in a file.

Sources: EMI Execution Service, "Activity Description Language"; NorduGrid, "ARC job description reference".
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET  # builds only, nothing is parsed
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from interlink_arc.settings import ArcSettings, DeviceSettings, RuntimeEnvironment, TenantSettings
from interlink_common.batchsystem.jobs import cpus, disk_bytes, mark, memory_bytes, read_mark, walltime_seconds
from interlink_common.batchsystem.policy import require_tenant
from interlink_common.errors import Refused
from interlink_common.jobbundle.bundle import START
from interlink_common.model.images import cvmfs_repositories
from interlink_common.model.patterns import fit
from interlink_common.model.workload import CvmfsVolume, Workload
from interlink_common.podrunner.sinks import EVENTS_FILE

NAMESPACES = {
    "xmlns": "http://www.eu-emi.eu/es/2010/12/adl",
    "xmlns:nordugrid-adl": "http://www.nordugrid.org/es/2011/12/nordugrid-adl",
}
ERRORS_FILE = "podrunner.err"
OUTPUTS = (EVENTS_FILE, ERRORS_FILE)
"""What the computing element keeps when the job has ended: nothing else."""


@dataclass(frozen=True)
class Choice:
    """Where the job of a pod may go: names of computing elements, and the queue in them; "" means the element's own."""

    ces: tuple[str, ...]
    queue: str


def tenant_of(namespace: str, settings: ArcSettings) -> TenantSettings:
    """What differs for this namespace. Pods of one that no key fits are not admitted; one that runs already goes on."""
    return fit(settings.tenants, namespace) or TenantSettings()


def devices(workload: Workload, settings: ArcSettings) -> Iterator[tuple[DeviceSettings, int]]:
    """How the pod's accelerators are asked for, and how many. Raises Refused for one that nobody maps."""
    for resource, count in sorted(workload.size.devices.items()):
        device = fit(settings.devices, resource)
        if device is None:
            raise Refused(f"resource {resource} is not offered here; the operator can map it with devices")
        yield device, count


def choice(workload: Workload, settings: ArcSettings) -> Choice:
    """The hardware decides first, then what the pod selects, then what its namespace is given. Raises Refused."""
    require_tenant(workload.namespace, settings.tenants)
    tenant = tenant_of(workload.namespace, settings)
    asked = [device for device, _ in devices(workload, settings)]
    queues = {device.queue for device in asked} - {""}
    if len(queues) > 1:
        raise Refused(f"the pod requests devices of different queues: {', '.join(sorted(queues))}")
    selected = [queue for selector, queue in settings.queues.items() if _selects(workload.placement.node_selector, selector)]
    queue = next(iter([*queues, *selected, tenant.queue]), "")
    wanted = [set(names) for names in (tenant.ces, *(device.ces for device in asked)) if names]
    ces = tuple(name for name in settings.ces if all(name in names for names in wanted))
    if not ces:
        raise Refused(f"there is no computing element for pods of namespace {workload.namespace}; the operator can name one in ces")
    return Choice(ces, queue)


def _selects(node_selector: Mapping[str, str], selector: str) -> bool:
    key, _, value = selector.partition("=")
    return node_selector.get(key) == value


def describe(workload: Workload, queue: str, settings: ArcSettings, *, delegation: str = "") -> bytes:
    """The description of the pod's job for one computing element. `delegation`: id there of a credential that the job is given.

    Raises Refused for a device that nobody maps.
    """
    root = ET.Element("ActivityDescription", NAMESPACES)
    identification = ET.SubElement(root, "ActivityIdentification")
    _text(identification, "Name", name_of(workload.uid))
    _text(identification, "Description", mark(workload, settings.instance))
    application = ET.SubElement(root, "Application")
    executable = ET.SubElement(application, "Executable")
    _text(executable, "Path", START)
    _text(application, "Error", ERRORS_FILE)
    if settings.job.priority is not None:
        _text(application, "nordugrid-adl:Priority", settings.job.priority)
    _resources(ET.SubElement(root, "Resources"), workload, queue, settings)
    staging = ET.SubElement(root, "DataStaging")
    if delegation:
        _text(staging, "DelegationID", delegation)
    file = ET.SubElement(staging, "InputFile")  # uploaded when the job is there, which waits for it
    _text(file, "Name", START)
    _text(file, "IsExecutable", "true")
    for name in OUTPUTS:
        _text(ET.SubElement(staging, "OutputFile"), "Name", name)
    return ET.tostring(root, encoding="unicode").encode()


def _resources(resources: ET.Element, workload: Workload, queue: str, settings: ArcSettings) -> None:
    job, slots = settings.job, cpus(workload, settings.job)
    for environment in environments(workload, settings):
        made = ET.SubElement(resources, "RuntimeEnvironment")
        _text(made, "Name", environment.name)
        for option in environment.options:
            _text(made, "Option", option)
    _text(resources, "IndividualPhysicalMemory", slot_memory_bytes(workload, settings))
    _text(resources, "DiskSpaceRequirement", disk_bytes(workload, job))
    walltime = walltime_seconds(workload, tenant_of(workload.namespace, settings).walltime_seconds or job.walltime_seconds)
    if walltime is not None:
        if job.cpu_time:
            _text(resources, "TotalCPUTime", walltime * slots)
        _text(resources, "WallTime", walltime)
    requirement = ET.SubElement(resources, "SlotRequirement")
    _text(requirement, "NumberOfSlots", slots)
    _text(requirement, "SlotsPerHost", slots)
    if queue:
        _text(resources, "QueueName", queue)


def slot_memory_bytes(workload: Workload, settings: ArcSettings) -> int:
    """Of one slot, as ARC counts."""
    whole = memory_bytes(workload, settings.job)
    return whole if settings.job.memory == "whole" else math.ceil(whole / cpus(workload, settings.job))


def environments(workload: Workload, settings: ArcSettings) -> Sequence[RuntimeEnvironment]:
    """Runtime environments: of every job, of CVMFS, of the devices; each once."""
    wanted = [*settings.job.runtime_environments]
    if wants_cvmfs(workload, settings):
        wanted += settings.cvmfs.runtime_environments
    for device, count in devices(workload, settings):
        for each in device.runtime_environments:
            wanted.append(RuntimeEnvironment(name=each.name, options=[option.replace("{count}", str(count)) for option in each.options]))
    return [each for number, each in enumerate(wanted) if each not in wanted[:number]]


def wants_cvmfs(workload: Workload, settings: ArcSettings) -> bool:
    """Whether its volumes or its images come from there."""
    repositories = cvmfs_repositories(workload, settings.runner.images, settings.cvmfs.path)
    return bool(repositories) or any(isinstance(volume, CvmfsVolume) for volume in workload.volumes)


def name_of(uid: str) -> str:
    """The name of a pod's job: how people find it again."""
    return f"interlink-{uid}"


def marked(description: str, instance: str) -> Workload | None:
    """The pod of a job, from its description as the computing element keeps it; None for a job that is not of this instance."""
    try:
        root = ET.fromstring(description)  # noqa: S314  expat refuses entities that grow, and the text is our own user's
    except ET.ParseError:
        return None
    return read_mark(root.findtext("{*}ActivityIdentification/{*}Description", ""), instance)


def _text(parent: ET.Element, name: str, value: object) -> None:
    ET.SubElement(parent, name).text = str(value)
