"""crdt-pos: tills and head offices as equal replicas that sell through every outage and agree to the cent."""
