"""Judging an entry as a replica would that receives it: which rule it breaks first, if any, and what would become of it here.

The verdict is ``gossip.ingest.check`` itself, with the certificates that are here; this only says which rule stood behind it.
"""

from __future__ import annotations

from typing import Final

from crdt_pos.rules_broken import rule_broken
from crdt_pos.schema import SCHEMA
from crdt_pos.shell.evidence import utc
from crdt_pos.shell.replica import Replica
from gossip.document import FeedType
from gossip.entry import Entry, FeedId
from gossip.ingest import AuthorRecord, check
from gossip.log_counted import QUARANTINED
from merge_rules.clock_hybrid import Stamp, wait_ms
from merge_rules.dataclass import dataclass
from merge_rules.lattice import Author

RULES: Final = {
    "form": "an entry is one COSE_Sign1 in deterministic CBOR, with the fields of PROTOCOL.md and no others",
    "certificate": "an author proves itself by a chain of certificates that ends at the company's root",
    "signature": "an entry bears its author's signature over all of its bytes",
    "name": "a document has the keys of its kind, and a date where its kind has one",
    "feed": "an entry has the feed type and the scope of its kind",
    "permission": "a replica writes only what its role and its store allow",
    "body": "a body has the shape that the merge rule of its kind asks for, and says nothing that its author cannot say",
    "embedded": "what an entry embeds of others bears their signatures",
    "revocation": "what a revoked replica signed after its cut-off does not count until a head office readmits it",
    "one number": "an author signs one entry under each number of a feed",
    "no way back": "what an author signs later contains what it signed before",
    "chain": "an entry of a journal names the one before it, which must be here first",
    "erased": "of a document that was erased nothing is taken any more",
    "horizon": "of what was dropped for its age nothing is taken any more",
}
"""Every rule that an entry can break, by name."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an entry is worth here."""

    verdict: str
    """``counts``, ``waits``, ``forged``, ``quarantined``, ``contradicts``, ``replaced``, ``refused``."""
    rule: str = ""
    """The name of the rule that it breaks; empty if none."""
    says: str = ""
    """In a sentence."""
    rivals: tuple[str, ...] = ()
    """Hashes of the entries that it contradicts."""

    @property
    def text(self) -> str:
        """What the rule says."""
        return RULES.get(self.rule, "")


def record_of(replica: Replica, author: Author) -> AuthorRecord | None:
    """What the check needs of an author; ``None`` if its certificate is not here."""
    certificate = replica.directory.certificate(author)
    if certificate is None:
        return None
    return AuthorRecord(certificate.public_key, certificate.role, certificate.store)


def rule_of(reason: str) -> str:
    """The rule that a quarantined entry broke, by the reason that is kept with it."""
    return "revocation" if reason == QUARANTINED else rule_broken(reason)


def judge(replica: Replica, entry: Entry) -> Judgement:
    """What would become of an entry that arrived here now, or became of it if it is here."""
    name = replica.name_of(entry.author)
    checked = check([entry], None, lambda author: record_of(replica, author), SCHEMA)
    if checked.unknown:
        text = f"nobody here knows {name}: it is asked for at the peer that sends this, and until then nothing is said"
        return Judgement("waits", "certificate", text)
    if checked.forged:
        text = f"the signature is not by the key of {name}: whoever sends this ends its session"
        return Judgement("forged", "signature", text)
    reason = checked.arrivals[0].quarantine
    if reason is not None:
        return Judgement("quarantined", rule_broken(reason), reason)
    return _in_the_log(replica, entry, name)


def _in_the_log(replica: Replica, entry: Entry, name: str) -> Judgement:
    if replica.held.shredded(entry.document):
        return Judgement("refused", "erased", "its document was erased here")
    rivals = _rivals(replica, entry)
    if rivals:
        rule = "one number" if all(seq == entry.seq for seq, _ in rivals) else "no way back"
        said = " and ".join(f"entry {seq} ({digits[:12]}…)" for seq, digits in rivals)
        text = f"{name} has signed {said}, too: both are kept, and the pair is the proof"
        return Judgement("contradicts", rule, text, tuple(digits for _, digits in rivals))
    here = replica.held.find(entry.hash) is not None
    if here and not replica.reader.counts(entry):
        return Judgement("quarantined", "revocation", QUARANTINED)
    if not here and entry.author in replica.reader.revoked() and not replica.reader.counts(entry):
        return Judgement("quarantined", "revocation", QUARANTINED)
    if not here and not replica.held.scopes(entry) and replica.held.horizons:
        return Judgement("refused", "horizon", "its document lies before the horizon of its kind")
    if not here and entry.previous is not None and replica.held.find(entry.previous) is None:
        text = f"entry {entry.seq - 1} before it is not here: it is asked for first"
        return Judgement("waits", "chain", text)
    heads = replica.held.heads(FeedId(entry.document, entry.author))
    newest = max((head.seq for head in heads), default=0)
    if entry.feed is FeedType.LATEST and newest > entry.seq:
        return Judgement("replaced", "", f"entry {newest} of {name} has replaced it")
    ahead_ms = wait_ms(Stamp(entry.stamp), replica.now_ms())
    if ahead_ms:
        text = f"stamped {utc(entry.stamp >> 16)}, which has not come yet: registers wait, sums and goods do not"
        return Judgement("counts", "", text)
    return Judgement("counts", "", "it is here and counts" if here else "it would count here")


def _rivals(replica: Replica, entry: Entry) -> list[tuple[int, str]]:
    """What its author has signed that excludes it."""
    feed = FeedId(entry.document, entry.author)
    heads = replica.held.heads(feed)
    if entry.head in heads:
        return [(one.seq, one.hash.hex()) for one in heads if one != entry.head]
    same = (one.entry for one in replica.held.entries(feed, entry.seq - 1) if one.entry.seq == entry.seq)
    return [(one.seq, one.hash.hex()) for one in same if one.hash != entry.hash]
