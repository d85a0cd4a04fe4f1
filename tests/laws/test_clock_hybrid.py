from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from merge_rules.clock_hybrid import AHEAD_MS_MAX, ClockHybrid, Stamp, milliseconds, wait_ms
from tests.laws import spec_feed
from tests.laws.harness import FEW, MANY

walls = st.integers(1, 12)
"""Wall clocks that hardly move, stand still or jump back, so that counters matter."""


@MANY
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), walls), max_size=40))
def test_the_clock_follows_the_pseudocode_of_the_paper(events: list[tuple[int, int, int]]) -> None:
    clocks, papers = [ClockHybrid()] * 3, [spec_feed.Clock() for _ in range(3)]
    for sender, receiver, now_ms in events:
        clocks[sender] = clocks[sender].tick(now_ms)
        l, c = papers[sender].send_or_local(now_ms)  # noqa: E741 (the paper's names)
        assert clocks[sender].stamp == l << 16 | c
        if receiver != sender:
            clocks[receiver] = clocks[receiver].observe(clocks[sender].stamp, now_ms)
            assert clocks[receiver].stamp == (lambda pair: pair[0] << 16 | pair[1])(
                papers[receiver].receive(l, c, now_ms)
            )


@FEW
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2**48 - 1), st.integers(0, 2**48 - 1)), max_size=20))
def test_a_tick_is_larger_than_everything_before_whatever_the_wall_clock_does(
    events: list[tuple[bool, int, int]],
) -> None:
    clock, seen = ClockHybrid(), [0]
    for observed, now_ms, their_ms in events:
        stamp = Stamp(their_ms << 16)
        if observed and not wait_ms(stamp, now_ms):
            seen.append(stamp)
        clock = clock.observe(stamp, now_ms) if observed else clock.tick(now_ms)
        assert clock.stamp >= max(seen)
        if not observed:
            assert clock.stamp > max(seen)
        seen.append(clock.stamp)


def test_a_full_counter_carries_into_the_milliseconds() -> None:
    full = ClockHybrid(Stamp(5 << 16 | 0xFFFF))
    assert full.tick(5).stamp == 6 << 16
    assert full.tick(6).stamp == 6 << 16


def test_a_stamp_from_the_future_waits_and_does_not_push_the_clock() -> None:
    now_ms = 1_000_000
    tomorrow = Stamp((now_ms + AHEAD_MS_MAX + 86_400_000) << 16)
    clock = ClockHybrid().tick(now_ms)
    assert wait_ms(tomorrow, now_ms) == 86_400_000
    assert clock.observe(tomorrow, now_ms) == clock
    later_ms = now_ms + wait_ms(tomorrow, now_ms)
    assert wait_ms(tomorrow, later_ms) == 0
    assert clock.observe(tomorrow, later_ms).stamp == tomorrow + 1


def test_stamps_a_little_ahead_and_stamps_of_the_past_do_not_wait() -> None:
    assert wait_ms(Stamp((1_000 + AHEAD_MS_MAX) << 16 | 7), 1_000) == 0
    assert wait_ms(Stamp(0), 1_000) == 0
    assert milliseconds(Stamp(1_000 << 16 | 7)) == 1_000


def test_a_clock_set_back_two_hours_still_ticks_forward() -> None:
    clock = ClockHybrid().tick(7_200_000)
    assert clock.tick(0).stamp == clock.stamp + 1
