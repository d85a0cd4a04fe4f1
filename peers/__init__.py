"""Who takes part: keys, certificates, the roster, permissions, and how replicas find each other."""
