"""The simulation at the size of a retailer: one day of up to ten thousand replicas, each the production machines."""
