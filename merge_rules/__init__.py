"""Merge rules: the join-semilattices that turn signed entries into values.

Pure: no I/O, no clock, no randomness. One rule per file, named type_semantics. Operations return deltas; only ``join``
changes a state, and ``join`` is total.
"""
