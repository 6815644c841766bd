"""The ground floor: what a pod means (`workload`), what became of it (`report`), both as JSON (`codec`); what the operator offers
(`site`, `images`; keys of its maps: `patterns`). Travels to worker nodes."""
