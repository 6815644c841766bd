"""The HTCondor plugin: pods as jobs of an HTCondor pool.

Open `backend` first: the verbs of the seam. `translate` makes the job, `states` reads its ad, and `client`, which runs in a process of its
own, alone imports the SDK.
"""
