"""When a group of events is one that makes a rule fire."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.processors.rules.windows import Cluster, Group, Outcome, Span, time_of

SPAN = Span(count=3, within_ms=100, quiet_ms=1000)


def told(group: Group, *events: tuple[str, int], span: Span = SPAN) -> list[Outcome]:
    return [group.add(member, time, span)[0] for member, time in events]


def test_so_many_members_within_the_time_fire_once_and_then_nothing_for_a_while() -> None:
    group = Group()
    assert told(group, ("a", 1000), ("b", 1050)) == [Outcome.COUNTED] * 2
    outcome, cluster = group.add("c", 1100, SPAN)
    assert (outcome, cluster) == (Outcome.FIRED, Cluster(("a", "b", "c"), 1000, 1100))
    assert told(group, ("d", 1101), ("e", 2099)) == [Outcome.QUIET] * 2
    assert told(group, ("d", 2100), ("e", 2101), ("f", 2102))[-1] is Outcome.FIRED


def test_members_that_are_further_apart_than_the_time_do_not_fire() -> None:
    group = Group()
    assert told(group, ("a", 1000), ("b", 1050), ("c", 1101)) == [Outcome.COUNTED] * 3
    assert told(group, ("d", 1150)) == [Outcome.FIRED]


def test_a_member_counts_once_with_its_newest_time() -> None:
    group = Group()
    assert told(group, ("a", 0), ("a", 50), ("b", 120), ("a", 10)) == [Outcome.COUNTED] * 3 + [
        Outcome.LATE
    ]
    assert group.times == {"a": 50, "b": 120}


def test_the_order_in_which_they_come_does_not_matter_within_the_time() -> None:
    for order in ((0, 50, 100), (100, 0, 50), (50, 100, 0)):
        assert told(Group(), *((str(t), t) for t in order))[-1] is Outcome.FIRED


def test_what_is_older_than_the_time_before_the_newest_is_late() -> None:
    group = Group()
    told(group, ("a", 1000))
    assert told(group, ("b", 899)) == [Outcome.LATE]
    assert told(group, ("b", 900)) == [Outcome.COUNTED]


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 5_000)), max_size=60),
    st.integers(1, 4), st.integers(1, 500), st.integers(0, 1000),
)  # fmt: skip
def test_what_fires_is_close_together_and_never_within_the_silence(
    events: list[tuple[str, int]], count: int, within: int, quiet: int
) -> None:
    """And the state is the same after it was packed, and never more than it needs."""
    span, group, silent_until = Span(count, within, quiet), Group(), None
    for member, time in events:
        group = Group.unpack(group.pack(7))
        outcome, cluster = group.add(member, time, span)
        if cluster is not None:
            assert outcome is Outcome.FIRED
            assert len(cluster.members) == count == len(set(cluster.members))
            assert cluster.end_ms - cluster.start_ms <= within
            assert silent_until is None or time >= silent_until
            silent_until = cluster.end_ms + quiet
        assert len(group.times) < count
    assert time_of(group.pack(123)) == 123
