"""A create request as a `Workload`: every reference resolved, every name and number checked, nothing dropped in silence.

Pure. What the backend can't do with the result is told by `coverage`, which `translate_checked` adds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Literal

from interlink_common.backend import Capabilities
from interlink_common.contract.answers import sentence
from interlink_common.contract.containers import Container
from interlink_common.contract.pod import Pod, PodSpec
from interlink_common.contract.requests import CreateRequest
from interlink_common.model.workload import Volume, Workload
from interlink_common.translation import podfields
from interlink_common.translation.checks import check_label, check_subdomain, check_unique, invalid
from interlink_common.translation.containers import ContainerTranslator
from interlink_common.translation.coverage import coverage
from interlink_common.translation.cvmfs import CvmfsRules, add_implied_mounts
from interlink_common.translation.downward import DownwardApi
from interlink_common.translation.files import sent_objects
from interlink_common.translation.podfields import network
from interlink_common.translation.projected import Projector
from interlink_common.translation.pull_secrets import registry_credentials
from interlink_common.translation.resources import pod_size, resources
from interlink_common.translation.security import fs_group, sysctls
from interlink_common.translation.unsupported import unsupported_fields
from interlink_common.translation.volumes import VolumeTranslator

_NOT_OFFLOADED = "interlink.eu/disable-offload-containers"
_NOT_OFFLOADED_INIT = "interlink.eu/disable-offload-init-containers"


def translate(
    request: CreateRequest, *, skip_downward_api_resolution: bool, cvmfs_claims: Collection[str], node_name: str = ""
) -> Workload:
    """The workload of a create request; the arguments are the settings of those names.

    Raises BadRequest for what a real API server would have rejected, Refused for what can't be resolved here.
    """
    pod, spec = request.pod, request.pod.spec
    annotations = pod.metadata.annotations or {}
    here = podfields.not_offloaded(annotations, _NOT_OFFLOADED)
    here_init = podfields.not_offloaded(annotations, _NOT_OFFLOADED_INIT)
    mains = [(f"pod.spec.containers[{i}]", c) for i, c in enumerate(spec.containers or ()) if c.name not in here]
    inits = [(f"pod.spec.initContainers[{i}]", c) for i, c in enumerate(spec.init_containers or ()) if c.name not in here_init]
    _check_names(pod, mains, inits, here + here_init)

    objects = sent_objects(request)
    downward = DownwardApi(pod, node_name, {c.name: resources(c.resources, f"{where}.resources") for where, c in inits + mains})
    cvmfs = CvmfsRules(annotations, cvmfs_claims)
    mounted = {mount.name for _, c in inits + mains for mount in c.volume_mounts or ()}
    volumes, volume_warnings = _volumes(spec, VolumeTranslator(Projector(objects, downward), cvmfs, mounted))

    translator = ContainerTranslator(downward, {v.name: v for v in volumes}, spec.security_context, skip_downward_api_resolution)
    translated = [translator.container(c, where, init=i < len(inits)) for i, (where, c) in enumerate(inits + mains)]
    all_containers, volumes = add_implied_mounts([c for c, _ in translated], volumes, cvmfs.repositories())
    init_containers, containers = all_containers[: len(inits)], all_containers[len(inits) :]

    credentials, registry_warnings = registry_credentials(spec.image_pull_secrets or (), objects.secrets)
    warnings = (*volume_warnings, *(w for _, per_container in translated for w in per_container), *registry_warnings)
    return Workload(
        uid=pod.metadata.uid,
        name=pod.metadata.name,
        namespace=pod.metadata.namespace,
        containers=containers,
        init_containers=init_containers,
        volumes=volumes,
        labels=dict(pod.metadata.labels or {}),
        annotations=dict(annotations),
        controller=podfields.controller(pod),
        restart_policy=podfields.restart_policy(spec),
        grace_seconds=podfields.grace_seconds(spec),
        active_deadline_seconds=podfields.active_deadline_seconds(spec),
        service_account=check_subdomain(spec.service_account_name, "pod.spec.serviceAccountName") if spec.service_account_name else "",
        hostname=podfields.hostname(spec, pod.metadata.name),
        subdomain=check_label(spec.subdomain, "pod.spec.subdomain") if spec.subdomain else "",
        host_aliases=podfields.host_aliases(spec),
        dns=podfields.dns(spec),
        host_network=bool(spec.host_network),
        host_pid=bool(spec.host_pid),
        host_ipc=bool(spec.host_ipc),
        share_process_namespace=bool(spec.share_process_namespace),
        fs_group=fs_group(spec.security_context),
        sysctls=sysctls(spec.security_context),
        registry_credentials=credentials,
        size=pod_size(spec, containers, init_containers),
        network=network(annotations),
        placement=podfields.placement(spec),
        not_offloaded=here,
        not_offloaded_init=here_init,
        warnings=tuple(sentence(warning) for warning in warnings),
    )


def translate_checked(
    request: CreateRequest,
    capabilities: Capabilities,
    policy: Literal["strict", "warn"],
    *,
    skip_downward_api_resolution: bool,
    cvmfs_claims: Collection[str],
    node_name: str = "",
) -> Workload:
    """`translate`, then `coverage` for that backend, whose warnings join the workload's. Raises BadRequest, Refused."""
    workload = translate(request, skip_downward_api_resolution=skip_downward_api_resolution, cvmfs_claims=cvmfs_claims, node_name=node_name)
    return replace(workload, warnings=workload.warnings + coverage(workload, capabilities, policy, unsupported_fields(request.pod)))


def _check_names(pod: Pod, mains: list[tuple[str, Container]], inits: list[tuple[str, Container]], elsewhere: tuple[str, ...]) -> None:
    check_subdomain(pod.metadata.name, "pod.metadata.name")
    check_label(pod.metadata.namespace, "pod.metadata.namespace")
    if not mains:
        raise invalid("pod.spec.containers", "must hold at least one container")
    for where, container in inits + mains:
        check_label(container.name, f"{where}.name")
    check_unique([c.name for _, c in inits + mains] + list(elsewhere), "pod.spec", "containers")


def _volumes(spec: PodSpec, translator: VolumeTranslator) -> tuple[tuple[Volume, ...], tuple[str, ...]]:
    made = [translator.volume(source, f"pod.spec.volumes[{i}]") for i, source in enumerate(spec.volumes or ())]
    check_unique((volume.name for volume, _ in made), "pod.spec.volumes", "volumes")
    return tuple(volume for volume, _ in made), tuple(warning for _, warnings in made for warning in warnings)
