"""What a kubelet decides, as pure functions over what is seen of a pod's containers. Standard library only."""
