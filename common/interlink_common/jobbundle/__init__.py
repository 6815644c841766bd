"""The files of a batch job that carries a pod. Pure: `build` makes them in memory."""
