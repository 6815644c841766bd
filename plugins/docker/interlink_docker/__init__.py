"""The Docker plugin: pods on a Docker engine.

Open `backend` first: the verbs of the seam. `runtime` is the agent's container runtime over the engine's API, `translate` makes the
engine's configurations, `states` reads its answers, and `client` alone imports the SDK.
"""
