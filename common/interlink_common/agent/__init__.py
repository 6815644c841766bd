"""The node agent: carries out, over a container runtime, what `interlink_common.lifecycle` decides. Standard library only."""
