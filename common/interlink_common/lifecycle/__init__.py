"""What a kubelet decides, as pure functions over the attempts of a pod's containers that a runtime reports. Standard library only."""
