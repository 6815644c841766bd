"""The test kit for authors of plugins: doubles, and the contract suite that every plugin passes.

Open `contract_suite` first. `scripted` is a backend in memory, `fake_runtime` a container runtime in memory, `lifecycle_cases` the table
of pods that every runtime must run alike.
"""
