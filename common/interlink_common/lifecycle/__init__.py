"""What a kubelet decides about a pod, as pure functions. It travels to worker nodes: standard library only, Python 3.9.

Open `decide` first: from the attempts of the containers, the memory and the time to the next actions and a report. `interface` has the
values that it exchanges with the agent; each of the other modules is one rule of the kubelet.
"""
