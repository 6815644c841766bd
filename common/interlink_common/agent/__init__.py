"""The node agent: carries out what `interlink_common.lifecycle` decides, over a container runtime. Standard library only."""
