"""The records of pods and everything that happens to them: create, status, logs, delete, recovery, collection.

Open `node` first: the virtual node's verbs. `records` is the database, `pods` the pods in memory, `reconciler` follows the backend.
"""
