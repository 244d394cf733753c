"""A Kafka made of lists that keeps Kafka's rules of transactions, groups and fencing.

The engine's ports are implemented on it (`ports`), so that the production code runs on it
unchanged. tests/contract holds it and the real one to the same tests.
"""

from tests.fake_broker.cluster import Cluster, Faults, no_fault
from tests.fake_broker.coordinator import Fate, UnheardError
from tests.fake_broker.ports import (
    FakeChangelogs,
    FakeInput,
    FakeReader,
    FakeTransactions,
    Membership,
)

__all__ = [
    "Cluster",
    "FakeChangelogs",
    "FakeInput",
    "FakeReader",
    "FakeTransactions",
    "Fate",
    "Faults",
    "Membership",
    "UnheardError",
    "no_fault",
]
