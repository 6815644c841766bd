"""interLink plugin that runs pods on a remote Kubernetes cluster, through Kueue's queues where there are some."""
