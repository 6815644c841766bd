"""The ground floor: what a pod means (`workload`), what became of it (`report`), and both as JSON (`codec`). Travels to worker nodes."""
