"""Errors of the engine, named by what the runtime must do next.

A bad record never raises here: a processor answers it with a rejection. These are about
the transaction, the state and the process.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from streams.engine.record import TopicPartition


class EngineError(Exception):
    """Base of the engine's errors; never raised itself. `code` is stable and bounded."""

    code: ClassVar[str] = "engine"


class TransientError(EngineError):
    """The work can be repeated: abort, rewind to the committed offsets, try again.

    Raised for a broker that does not answer in time and for transactions the broker
    asked us to abort. The worker retries with back-off.
    """

    code = "transient"


class UnknownOutcomeError(EngineError):
    """A transactional call neither succeeded nor failed in its time.

    The producer that made it must never be used again: librdkafka lacks KIP-890, so its
    delayed EndTxn could still end a later transaction of the same producer epoch. The
    worker makes a new producer (`init_transactions` settles the old transaction), restores
    its state from the changelog and goes on from the committed offsets.
    """

    code = "outcome_unknown"


class RefusedError(EngineError):
    """The broker refused produced records; the transaction is lost as a whole.

    `origins` are the input records (partition, offset) whose outputs were refused or shared
    a produce batch with a refused one. The worker runs them again one by one, so that only
    the guilty one is rejected. `local`: refused before it was sent, so there is no doubt who.
    """

    code = "produce_refused"

    def __init__(
        self, origins: Iterable[tuple[TopicPartition, int]], reason: str, *, local: bool = False
    ) -> None:
        self.origins = frozenset(origins)
        self.reason = reason
        self.local = local
        super().__init__(f"the broker refused a produced record: {reason}")


class StateCorruptError(EngineError):
    """The local state of `store` cannot be brought up to date: wipe it, restore it anew.

    Raised by the changelog side, handled in `recovery`. A damaged database is a FatalError:
    it is removed when it is opened next.
    """

    code = "state_corrupt"

    def __init__(self, store: TopicPartition, reason: str) -> None:
        self.store = store
        super().__init__(reason)


class FencedError(EngineError):
    """Another process took over our slot. Nothing of ours may be written any more.

    The process ends at once; the supervisor does not start it again, because two
    processes that claim one slot would fence each other for ever.
    """

    code = "fenced"


class FatalError(EngineError):
    """The process cannot go on and must end; the supervisor starts it again."""

    code = "fatal"


class StateLostError(FatalError):
    """State that was committed is no longer in Kafka: an operator has to decide.

    A changelog was deleted, emptied, truncated or made anew, or the group's offsets are gone.
    To go on would be to forget what was seen, and to let repeats take effect a second time.
    The supervisor does not start the process again.
    """

    code = "state_lost"
