"""The files of a batch job that runs a pod. Pure: they are made in memory.

Open `bundle` first.
"""
