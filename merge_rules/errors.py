"""What a merge rule may refuse.

MergeRuleError
├── NotCanonical      bytes or values outside the deterministic subset of CBOR (the author's fault)
├── InvalidBody       a body that its rule's check refuses: wrong shape, negative counter, spent more than held
└── NotAllowed        an operation that would break the rule's bound (our caller's request, e.g. too few points)
"""


class MergeRuleError(Exception):
    """Root of everything that ``merge_rules`` raises."""


class NotCanonical(MergeRuleError):
    """The bytes are not deterministic CBOR (RFC 8949 §4.2.1), or hold a type that entries do not use."""


class InvalidBody(MergeRuleError):
    """The body does not have the shape or the bounds of its merge rule; says which."""


class NotAllowed(MergeRuleError):
    """The operation would break the rule's bound; nothing was changed."""
