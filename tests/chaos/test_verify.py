"""What must be there is told by receipts, and by what lies on inbound without one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from streams.engine.record import Record, TopicPartition
from tests.chaos.stage import INBOUND
from tests.chaos.verify import asked_for
from tests.chaos.workload import Message, Receipt, Receipts

AT: Final = TopicPartition(INBOUND, 1)
CONFLICT: Final = Message("conflict", "m-1", b"<conflict/>", code="identity_conflict")
ASKS: Final = Message("answered", "m-2", b"<asks/>", replies=1)


def inbound(*messages: Message) -> list[Record]:
    return [Record(*AT, n, 0, None, message.data, ()) for n, message in enumerate(messages)]


def receipts(*delivered: Message, failed: Sequence[Message] = ()) -> Receipts:
    told = [Receipt(message, AT, offset) for offset, message in enumerate(delivered)]
    return Receipts(told, [(message, "timed out") for message in failed])


def test_a_message_that_failed_and_is_not_there_asks_for_nothing() -> None:
    assert asked_for(receipts(failed=[CONFLICT, ASKS]), []) == ({}, 0)


def test_a_message_that_failed_but_is_there_gets_its_rejection_and_its_reply() -> None:
    wanted = asked_for(receipts(failed=[CONFLICT, ASKS]), inbound(CONFLICT, ASKS))
    assert wanted == ({(f"{AT}@0", "identity_conflict"): 1}, 1)


def test_a_message_that_its_broker_took_twice_is_judged_twice() -> None:
    wanted = asked_for(receipts(CONFLICT, ASKS), inbound(CONFLICT, ASKS, CONFLICT, ASKS))
    assert wanted == ({(f"{AT}@{n}", "identity_conflict"): 1 for n in (0, 2)}, 2)


def test_a_receipt_counts_where_the_record_is_gone_by_now() -> None:
    wanted = asked_for(receipts(CONFLICT, ASKS), [])
    assert wanted == ({(f"{AT}@0", "identity_conflict"): 1}, 1)
