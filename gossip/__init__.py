"""How entries spread: signed entries, the log that keeps them, and the sessions that carry them."""
