"""The ARC plugin: pods as jobs of NorduGrid ARC computing elements.

Open `backend` first: the verbs of the seam. `translate` makes the job's description, `states` reads its state, and `client` speaks ARC's
REST interface.
"""
