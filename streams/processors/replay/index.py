"""A set or map that may be larger than memory, in a store of the local database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from streams.engine.ports import State
from streams.engine.record import TopicPartition

# Written together: 10,000 entries of about 60 bytes are little memory and few writes.
_BUFFERED_MAX: Final = 10_000


class Index:
    """Keys and values of one named store; its writes are collected."""

    def __init__(self, state: State, name: str) -> None:
        self._state = state
        self._store = TopicPartition(name, 0)
        self._buffer: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, None where there is none."""
        found = self._buffer.get(key)
        return self._state.get(self._store, key) if found is None else found

    def put(self, key: bytes, value: bytes) -> None:
        """Set `key`."""
        self._buffer[key] = value
        if len(self._buffer) >= _BUFFERED_MAX:
            self._flush()

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All pairs in key order."""
        self._flush()
        return self._state.items(self._store)

    def _flush(self) -> None:
        self._state.apply({self._store: self._buffer}, {})
        self._buffer = {}
