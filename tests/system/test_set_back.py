"""A till's disk is set back and it starts again, in real processes: noticed, healed, and no number is used twice."""

from __future__ import annotations

from tests.system.set_back import MEMBER, Shop, shop
from tools.cabled import OFFICE

__all__ = ["shop"]


def test_a_disk_that_is_set_back_in_its_place_is_noticed_and_healed(shop: Shop) -> None:
    shop.sell("12-1", member=MEMBER)
    shop.image("12-1")
    for _ in range(3):
        shop.sell("12-1", member=MEMBER)
    shop.town.together()
    shop.safe("12-1")
    for other in (OFFICE, "12-2"):
        shop.town.sever("12-1", other)
    shop.town.until(lambda: not shop.town.peers("12-1"), "cut off")
    for _ in range(2):
        shop.sell("12-1", known=False)  # on paper, and nowhere else
    shop.set_back("12-1")
    for other in (OFFICE, "12-2"):
        shop.town.mend("12-1", other)
    shop.town.start("12-1")
    after = shop.sell("12-1", member=MEMBER)
    (said,) = shop.healed("12-1")
    assert "set back" in said
    assert "numbers were left out" in said
    assert shop.trouble("12-1") == ""
    assert int(after["number"].rpartition("-")[2]) > 1_000
    balance = shop.town.call("12-1", "redeemable", account=MEMBER)
    assert balance["here"] == balance["company"] == 5
    shop.town.together()
    shop.safe("12-1")
    for name in ("12-2", "12-1"):
        shop.sell(name)
    shop.safe("12-1")
    shop.agree()
