"""What podrunner can do with a pod, which is what every plugin can that carries pods with it. Pure."""

from __future__ import annotations

from interlink_common.backend import Capabilities, Support

PODRUNNER = Capabilities(
    init_containers=Support.YES,
    sidecars=Support.YES,
    several_containers=Support.YES,
    restart_policies=frozenset({"Never", "OnFailure", "Always"}),
    probes=Support.YES,
    hooks=Support.YES,
    files_volumes=Support.YES,
    empty_dir=Support.YES,
    host_path=Support.YES,
    external_volume_kinds=frozenset({"persistentVolumeClaim", "nfs", "csi"}),
    cvmfs=Support.YES,
    mount_propagation=Support.WARN,
    sub_path=Support.YES,
    device_resources=frozenset({"*/*"}),
    ephemeral_storage=Support.YES,
    active_deadline=Support.YES,
    tty=Support.WARN,
    stdin=Support.WARN,
    host_ports=Support.WARN,
    host_namespaces=Support.REFUSE,
    privileged=Support.YES,
    run_as=Support.YES,
    capabilities=Support.WARN,
    read_only_root_filesystem=Support.WARN,
    seccomp=Support.WARN,
    fs_group=Support.WARN,
    sysctls=Support.REFUSE,
    host_aliases=Support.WARN,
    dns_config=Support.WARN,
    share_process_namespace=Support.WARN,
    image_pull_secrets=Support.YES,
    mesh_network=Support.YES,
)
