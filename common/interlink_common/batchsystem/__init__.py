"""What the plugins of batch systems share: a pod is a job that podrunner runs, and its event stream is kept in a journal.

Open `journal` first. `settings` are the operator's settings for podrunner, `policy` what they forbid.
"""
