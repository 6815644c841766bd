"""The Kueue plugin: pods as Pods or Jobs of a remote Kubernetes cluster, through Kueue's queues if there are some.

Open `backend` first: the verbs of the seam. `translate` makes the remote pod, `states` reads it, `kueue` reads Kueue's workloads, and
`client` alone imports the SDK.
"""
