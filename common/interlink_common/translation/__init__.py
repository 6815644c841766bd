"""The pure translation of a v1.Pod into a `Workload`.

Open `translate` first: it calls the other modules, one for each part of a pod. `coverage` and `unsupported` find what the backend cannot
do, so that the pod is refused or has a warning.
"""
