"""What ``peers`` may raise.

PeersError
├── CertificateError       a certificate or chain that is refused; carries a ``CertificateFault`` (the peer's fault)
├── SealError              what was sealed is not for this key or passphrase, or was changed; says which
├── KeyFileError           a key or certificate file that cannot be read or written; says which (a person's fault)
├── RosterError            a roster entry that would contradict the roster: an author's id or a letter taken (our caller's)
├── InvalidElement         an element of a roster document without the shape its tag calls for (its author's fault)
└── DiscoveryUnavailable   multicast is blocked or there is no interface (the weather): go on with static peers
"""

from __future__ import annotations

from enum import StrEnum


class PeersError(Exception):
    """Root of everything that ``peers`` raises."""


class CertificateFault(StrEnum):
    """Why a certificate was refused; the text is what a person reads."""

    MALFORMED = "it is not one of our certificates"
    OTHER_COMPANY = "it belongs to another company"
    SIGNATURE = "its signature is not by the issuer it names"
    SELF_SIGNED = "it vouches for itself"
    ISSUER = "its issuer may not issue it"
    PATH_LENGTH = "its chain has the wrong length"
    ROLE = "its role does not fit its place in the chain"
    USAGE = "it may not be used for sessions in both directions"
    INCARNATION = "its incarnation was not counted by the office that issued it"


class CertificateError(PeersError):
    """A certificate was refused; ``fault`` says why."""

    def __init__(self, fault: CertificateFault, detail: str = "") -> None:
        super().__init__(f"The certificate is refused: {fault}{f' ({detail})' if detail else ''}.")
        self.fault = fault


class SealError(PeersError):
    """What was sealed cannot be opened with this key or passphrase, or was changed; says which."""


class KeyFileError(PeersError):
    """A key or certificate file cannot be read or written; says which and what to do."""


class RosterError(PeersError):
    """The roster already says something else: an author's id, an office's letter or a replica's life is taken."""


class InvalidElement(PeersError):
    """An element of a roster document does not have the shape its tag calls for; says which."""


class DiscoveryUnavailable(PeersError):
    """Replicas on this network cannot be found by themselves: name them as static peers, or allow multicast DNS (UDP 5353)."""
