"""The slot's local database: RocksDB, one for all stores of a slot.

One database, because then one atomic write covers every store of a transaction with its
checkpoints. A store's keys carry a fixed prefix made from its changelog partition.

Invariant: a checkpoint is written in the same batch as the data it stands for.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DbClosedError,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
)

from streams.engine.errors import FatalError
from streams.engine.ports import Writes
from streams.engine.record import TopicPartition

_OFFSET: Final = struct.Struct(">q")
# 8 bytes tell apart far more stores than a cluster has partitions (2^64 against 10^5).
_PREFIX_BYTES: Final = 8
_DATA: Final = b"d"
_CHECKPOINT: Final = b"c"
# A file of this name in the folder says why the database must not be used again.
_DAMAGED: Final = "DAMAGED"

# Sums for a worker of 500 MB: 3 memtables of 32 MB, 128 MB of blocks (index and filters
# inside), the rest for Python, librdkafka's queues (64 MB in, batch out) and the allocator.
_MEMTABLE_BYTES: Final = 32 * 1024 * 1024
_MEMTABLES: Final = 3
_CACHE_BYTES: Final = 128 * 1024 * 1024
_BLOOM_BITS: Final = 10
_LOG_FILES: Final = 2


class RocksState:
    """See `streams.engine.ports.State`. One process at a time may hold a folder."""

    def __init__(self, folder: Path) -> None:
        """Open the database in `folder`; a damaged one is removed, to be restored.

        Raises:
            FatalError: the folder cannot be used (held by another process, not writable).
        """
        self._folder = folder
        self.discarded: str | None = None
        """Why a database that was found had to be thrown away, if so."""
        self._prefixes: dict[TopicPartition, bytes] = {}
        self._database = self._open()

    def get(self, store: TopicPartition, key: bytes) -> bytes | None:
        """Present value of `key`."""
        return self._read(self._prefix(store) + key)

    def checkpoint(self, store: TopicPartition) -> int | None:
        """Changelog offset the store stands at."""
        raw = self._read(_CHECKPOINT + self._prefix(store))
        return None if raw is None else int(_OFFSET.unpack(raw)[0])

    def apply(self, writes: Writes, checkpoints: Mapping[TopicPartition, int]) -> None:
        """One atomic batch. Not synced: the changelog can repeat what a power cut takes."""
        batch = WriteBatch(raw_mode=True)
        for store, written in writes.items():
            prefix = self._prefix(store)
            for key, value in written.items():
                if value is None:
                    batch.delete(prefix + key)
                else:
                    batch.put(prefix + key, value)
        for store, offset in checkpoints.items():
            batch.put(_CHECKPOINT + self._prefix(store), _OFFSET.pack(offset))
        self._write(batch)

    def items(self, store: TopicPartition) -> Iterator[tuple[bytes, bytes]]:
        """All pairs of the store in key order."""
        return self._pairs(store, b"")

    def wipe(self, store: TopicPartition) -> None:
        """Forget the store and its checkpoint, in one step: half a wipe would look like state."""
        prefix = self._prefix(store)
        batch = WriteBatch(raw_mode=True)
        batch.delete(_CHECKPOINT + prefix)
        batch.delete_range(prefix, _successor(prefix))
        self._write(batch)

    def sweep(
        self,
        store: TopicPartition,
        expired: Callable[[bytes], bool],
        after: bytes | None,
        keys_max: int,
    ) -> tuple[bytes | None, int]:
        """One bounded step of a walk through the store; see the port."""
        start = b"" if after is None else after + b"\0"
        try:
            looked_at = list(itertools.islice(self._pairs(store, start), keys_max))
        except Exception as error:
            raise self._failure("read", error) from error
        gone = [key for key, value in looked_at if expired(value)]
        if gone:
            self.apply({store: dict.fromkeys(gone)}, {})
        return (looked_at[-1][0] if len(looked_at) == keys_max else None), len(gone)

    def size_bytes(self) -> int:
        """The files of the database, its log included."""
        total = 0
        for file in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # a compaction has just removed it
                total += file.stat().st_size
        return total

    def close(self) -> None:
        """Flush and release the folder. Idempotent."""
        with contextlib.suppress(DbClosedError):
            self._database.close()

    def _pairs(self, store: TopicPartition, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        prefix = self._prefix(store)
        for key, value in self._database.items(from_key=prefix + start):
            if not isinstance(key, bytes) or not key.startswith(prefix):
                return
            yield key[len(prefix) :], value

    def _read(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._database.get(key)
        except Exception as error:
            raise self._failure("read", error) from error
        return value

    def _write(self, batch: WriteBatch) -> None:
        try:
            self._database.write(batch)
        except Exception as error:
            raise self._failure("written", error) from error

    def _failure(self, what: str, error: Exception) -> FatalError:
        """What a failed call means; a damaged database is marked, to be removed when opened."""
        text = f"local state in {self._folder} cannot be {what} ({error})"
        if _is_damage(error):
            with contextlib.suppress(OSError):
                (self._folder / _DAMAGED).write_text(str(error))
            return FatalError(f"{text}: it is removed and restored when the process starts again")
        return FatalError(
            f"{text}: check the disk's space and rights; what is committed in Kafka is not affected"
        )

    def _prefix(self, store: TopicPartition) -> bytes:
        prefix = self._prefixes.get(store)
        if prefix is None:
            name = f"{store.topic}/{store.partition}".encode()
            prefix = _DATA + blake2b(name, digest_size=_PREFIX_BYTES).digest()
            self._prefixes[store] = prefix
        return prefix

    def _open(self) -> Rdict:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            # Opened first even where it is known to be damaged: that takes its lock, so that
            # nobody's database is removed under his feet.
            database = Rdict(str(self._folder), _options())
            marker = self._folder / _DAMAGED
            if not marker.exists():
                return database
            self.discarded = marker.read_text()
            database.close()
        except Exception as error:
            if not _is_damage(error):
                raise self._unusable(error) from error
            self.discarded = str(error)
        try:
            shutil.rmtree(self._folder)
            self._folder.mkdir(parents=True)
            return Rdict(str(self._folder), _options())
        except Exception as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> FatalError:
        return FatalError(
            f"local state in {self._folder} is not usable: {error}. Another process may hold the "
            "folder, or its rights or disk are wrong; it can be removed, the state is restored "
            "from Kafka"
        )


def _is_damage(error: Exception) -> bool:
    """Whether the files themselves are wrong; rocksdict raises plain Exception for all."""
    return str(error).startswith(("Corruption", "IO error: No such file"))


def _successor(prefix: bytes) -> bytes:
    """Smallest byte string above everything that starts with `prefix`."""
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")


def _options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_paranoid_checks(True)
    options.set_write_buffer_size(_MEMTABLE_BYTES)
    options.set_max_write_buffer_number(_MEMTABLES)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_keep_log_file_num(_LOG_FILES)
    options.set_max_background_jobs(2)
    blocks = BlockBasedOptions()
    blocks.set_block_cache(Cache(_CACHE_BYTES))
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_bloom_filter(_BLOOM_BITS, False)
    options.set_block_based_table_factory(blocks)
    return options
