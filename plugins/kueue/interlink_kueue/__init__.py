"""The Kueue plugin: pods as Pods or Jobs of a remote Kubernetes cluster, through Kueue's queues if there are some.

Open `backend` first: the verbs of the seam. `translate` builds the remote pod and `creating` creates it. `informers` watch and fill the
`index`; `fate`, `states` and `podview` decide from it what to report and what is due; `upkeep` acts. Only `client` imports the SDK.
"""
