"""The program that runs a pod on a batch worker node: the node agent over apptainer, singularity, podman or bare processes.

Open `job` first: one job from its files to its exit code, with the pod in `supervisor`. `runtime` is the agent's runtime,
`container_runtime` the seam that `apptainer`, `podman` and `bare` implement, `events` the stream that the plugin reads.

Standard library only, Python 3.9 or newer: it travels with the job as one file, `podrunner.pyz`.
"""
