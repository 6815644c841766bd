"""Acts as interLink and its virtual kubelet do. The command line, tests and benchmarks use it.

Open `client` first: it sends requests and judges the answers. `bodies` makes the requests, `judge` and `rules` say what is wrong with an
answer, `kubelet` is the virtual kubelet's own reading of it.
"""
