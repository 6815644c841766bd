"""The records of pods and everything that happens to them: create, status, logs, delete, recovery, collection.

Open `node` first: the virtual node's verbs. `pods` is the one place where a pod's state changes, `records` keeps it in the database.
`reconciler` follows the backend, `statuses` answers from memory what `composition` composed.
"""
