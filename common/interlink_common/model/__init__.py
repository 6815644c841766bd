"""The ground floor: plain values that every other package uses. It travels to worker nodes: standard library only, Python 3.9.

Open `workload` first: what a pod means. `report` is what became of it, `codec` turns both into JSON. `site`, `images` and `patterns` are
what the operator offers to pods.
"""
