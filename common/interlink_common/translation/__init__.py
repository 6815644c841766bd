"""Pure translation of a Kubernetes pod into a backend-neutral `Workload`."""
