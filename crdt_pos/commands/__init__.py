"""One module per command of ``crdt-pos``; each defines one click command and is named in pyproject's entry points."""
