"""A seeded simulation: the replicas' own machines on a simulated network, with simulated disks and clocks."""
