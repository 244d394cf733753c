"""Where pending deliveries are kept, and reading them.

Lives here: the changelogs `cim.delivery.pending-iN.changelog`. Must not live here: what an entry
says (`entry`), writing one (`ledger`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from streams.engine.record import TopicPartition
from streams.runtime.delivery.entry import Entry
from streams.runtime.reading import TopicReader
from topics import Catalogue, naming

NAME: Final = "delivery"
"""Of the group and of what it keeps."""


def changelog(interface: str) -> str:
    """What is pending of an interface's outbound topics; as many partitions as production's."""
    return naming.changelog(NAME, f"pending-{interface.lower()}")


def folded(reader: TopicReader, partitions: Iterable[TopicPartition]) -> dict[bytes, bytes]:
    """The newest value per key, up to the high watermark, so that nothing decided is missing.

    Raises:
        OperatorError: `broker_unreachable`.
    """
    values: dict[bytes, bytes] = {}
    for record in reader.records(reader.bounds(partitions, committed=False)):
        if record.key is None:
            continue
        if record.value is None:
            values.pop(record.key, None)
        else:
            values[record.key] = record.value
    return values


def pending(reader: TopicReader, catalogue: Catalogue) -> list[Entry]:
    """Every pending delivery, the oldest first.

    Raises:
        OperatorError: `broker_unreachable`.
    """
    there = reader.topics()
    logs = [at for one in catalogue.interfaces for at in there.get(changelog(one), ())]
    found = (Entry.from_record(key, value) for key, value in folded(reader, logs).items())
    entries = [entry for entry in found if entry is not None]
    return sorted(entries, key=lambda entry: (entry.since_ms, entry.place))
