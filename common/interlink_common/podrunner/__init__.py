"""The program that carries a pod on a batch worker node: the node agent over apptainer, singularity, podman or plain processes.

Standard library only, Python 3.9 or newer: it travels with the job as one file, `podrunner.pyz`.
"""
