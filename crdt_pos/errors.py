"""What a till refuses. The docstring of each error is what the cashier reads; ``str(error)`` adds what was meant.

TillError
├── NotOpen, StillOpen, AskForDate, OtherMoney                                the business date
├── TakingBack                                                       the disk was set back
├── OutOfService                                                     revoked, or retired
├── HandingOver                                                      about to be retired
├── EmptyReceipt, UnknownProduct, NoPrice, BadQuantity, PaysOut, AmountTooLarge, ReasonMissing
├── UnknownTender, TooLittleTendered, TooMuchTendered                payment
├── NotEnoughRights, MemberMissing                                   points and balances
├── UnknownReceipt, NotRefundable, NotVoidable                       undoing
└── NotSignedOn, NotAllowedHere                                      who is at the till

CrdtPosError
├── FolderError          a replica's folder that cannot be used as it is
├── EnrolmentRefused     a company, office, store or till that cannot be enrolled like this
├── KeysRefused          a company's keys that cannot be had like this: wrong words, another company's kit, a wrong passphrase
├── ProductFileWrong     a list of products that cannot be read; the sentence names the line
├── ProductRefused       a product or a claim that cannot be made or taken back like this
├── RecoverRefused       what was lost cannot be brought back like this
├── BadSegment           a sealed segment that cannot be opened, or does not hold what it should
├── WrongPin, CashierRefused   who works here, and who has signed on
├── PersonRefused        a person who cannot be named, found or erased like this
└── NothingHere          what was asked for is not in this replica's log; the sentence says what is
"""


class TillError(Exception):
    """The till refused; nothing was written."""

    def __init__(self, detail: str = "") -> None:
        sentence = (self.__doc__ or "").split("\n\n")[0].replace("\n    ", " ").strip()
        super().__init__(f"{sentence} ({detail})" if detail else sentence)


class TakingBack(TillError):
    """This till's disk was set back. It takes back what it wrote from the others, and sells again when that is here."""


class OutOfService(TillError):
    """This till takes part no more, and signs nothing."""


class HandingOver(TillError):
    """This till hands over to the others to end its life, and sells nothing meanwhile. It sells again if that fails."""


class NotOpen(TillError):
    """No business date is open: open the till first."""


class StillOpen(TillError):
    """A business date is still open: close it first."""


class OtherMoney(TillError):
    """This till's store has another legal entity or currency than before: enrol the till again. Totals never add across."""


class AskForDate(TillError):
    """The clock is before the last close, or that date is closed already: say which business date it is."""


class EmptyReceipt(TillError):
    """There is nothing on the receipt: add a line."""


class UnknownProduct(TillError):
    """This product is not in the catalogue here: type in a price to sell it all the same."""


class NoPrice(TillError):
    """This product has no price yet: type one in."""


class BadQuantity(TillError):
    """This quantity cannot be sold: it has more decimals than the product, or the wrong sign."""


class PaysOut(TillError):
    """A sale takes money in, and no discount is more than its line: goods that come back are a refund."""


class AmountTooLarge(TillError):
    """This amount is too large: split the receipt."""


class ReasonMissing(TillError):
    """Say why: without a receipt, and for a write-off, a reason must be given."""


class UnknownTender(TillError):
    """This way of paying is not known here: choose another."""


class TooLittleTendered(TillError):
    """The payment does not cover the amount due: add a payment."""


class TooMuchTendered(TillError):
    """More was paid than is due, and not in cash, or more cash than anyone gives: lower the payment."""


class MemberMissing(TillError):
    """Points, gift cards and store credit need an account: scan the card."""


class NotEnoughRights(TillError):
    """There are not enough points on this account that can be redeemed here now.

    ``here`` is what can be redeemed here now, ``company`` the account's balance as known.
    """

    def __init__(self, here: int, company: int) -> None:
        self.here = here
        self.company = company
        super().__init__(f"{here} can be redeemed now, the balance is {company}")


class UnknownReceipt(TillError):
    """This receipt is not here: check the number, or refund without a receipt and say why."""


class NotRefundable(TillError):
    """This was given back already, or cannot be given back."""


class NotVoidable(TillError):
    """This receipt cannot be voided: only a sale or refund of the open date at this till, once. Refund it instead."""


class NotSignedOn(TillError):
    """Nobody has signed on at this till: sign on with your id and PIN first."""


class NotAllowedHere(TillError):
    """A supervisor or manager must sign on for this."""


class CrdtPosError(Exception):
    """Root of what ``crdt_pos`` raises outside the till."""


class FolderError(CrdtPosError):
    """A replica's folder cannot be used as it is: one sentence that says why and what to do."""


class EnrolmentRefused(CrdtPosError):
    """A company, office, store or till cannot be enrolled like this: one sentence that says why."""


class KeysRefused(CrdtPosError):
    """A company's keys cannot be had like this: one sentence that says why."""


class ProductFileWrong(CrdtPosError):
    """A list of products cannot be read: one sentence with the line. Nothing was written."""


class ProductRefused(CrdtPosError):
    """A product or a claim cannot be made or taken back like this: one sentence that says why. Nothing was written."""


class WrongPin(CrdtPosError):
    """The PIN is wrong, or must wait: one sentence that says which."""


class CashierRefused(CrdtPosError):
    """A cashier cannot be made, changed or signed on like this: one sentence that says why."""


class PersonRefused(CrdtPosError):
    """A person cannot be named, found or erased like this: one sentence that says why."""


class NothingHere(CrdtPosError):
    """What was asked for is not here."""


class RecoverRefused(CrdtPosError):
    """A till, store or office cannot be recovered like this: one sentence that says why."""


class BadSegment(CrdtPosError):
    """A sealed segment cannot be opened, or does not hold what it should."""
