"""The skeleton of every batch backend: a pod is a job in which podrunner runs its containers and writes an event stream.

Open `backend` first: what a plugin writes, and what it gets for free. `follow` looks at the jobs and reads their streams, `journal` keeps
a stream on disk, `reports` turns what is known of a pod into its report, `policy` refuses what the operator excludes.
"""
