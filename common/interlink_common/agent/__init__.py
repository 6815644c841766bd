"""The node agent: carries out what the lifecycle decides. It travels to worker nodes: standard library only, Python 3.9.

Open `runtime` first: the seam that a container runtime implements. `agent` is the loop over all pods, `podworker` that of one pod.
"""
