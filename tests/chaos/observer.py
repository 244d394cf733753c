"""Readers of another implementation than ours: what anyone sees of the event logs.

Lives here: a reader in a process of its own that writes down every poll while the system is
tormented, and the snapshots of the logs that `history.check` is given. All of it is aiokafka,
so that librdkafka, which the engine uses, is not its own witness. Must not live here: what is
right (see `history`).

Invariant: nothing is left out silently. The reader assigns all partitions from their start,
without a group, and an offset that is gone ends it with an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final, Self, TextIO

from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.engine.record import Record, TopicPartition
from tests.chaos.history import Logs, Poll, Reader, Seen, Snapshot

# A broker that was killed is back within this time, or the run has failed anyway.
PATIENCE_S: Final = 90.0
_POLL_MS: Final = 100
_RETRY_S: Final = 0.2
# The largest record is as large as the largest message, 8 MiB and its headers.
_FETCH_BYTES: Final = 16 * 1024 * 1024
_DIGEST_CHARACTERS: Final = 16


class Observer:
    """A read_committed reader in a process of its own.

    Use it in a `with`; `stop` gives what it saw. The process ends with whoever started it.
    """

    def __init__(
        self, bootstrap: str, topics: Sequence[str], folder: Path, name: str = "observer"
    ) -> None:
        self._name = name
        self._file = folder / f"{name}.jsonl"
        self._complaints = folder / f"{name}.log"
        with self._complaints.open("wb") as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.observer", bootstrap, self._file, *topics],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                cwd=Path(__file__).resolve().parents[2],
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        """Return when it reads."""
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            self.__exit__()
            raise AssertionError(f"{self._name} did not start: {self._complaints.read_text()}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def stop(self) -> Reader:
        """Let it read up to the last stable offsets of now, end it, and say what it saw."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        status = self._process.wait(PATIENCE_S)
        assert status == 0, f"{self._name} ended with {status}: {self._complaints.read_text()}"
        return _recorded(self._name, self._file)


def snapshot(
    bootstrap: str,
    name: str,
    topics: Sequence[str],
    inbound: Sequence[str],
    group: str = "intake",
) -> Snapshot:
    """All that is committed in the topics, and what the group had processed just before.

    First the group's offsets, then the ends of the logs, then all up to these: what was
    processed has its events below the ends, since they are written before the offsets are.
    Transactions that are open at the ends are waited for.
    """

    async def take() -> Snapshot:
        processed = await _processed(bootstrap, group, inbound)
        return Snapshot(name, processed, _logs(await _read(bootstrap, topics, "read_committed")))

    return asyncio.run(take())


def uncommitted(bootstrap: str, topics: Sequence[str]) -> Logs:
    """All records of the topics, aborted ones too."""
    return _logs(asyncio.run(_read(bootstrap, topics, "read_uncommitted")))


def committed_records(bootstrap: str, topics: Sequence[str]) -> dict[TopicPartition, list[Record]]:
    """All committed records below the present high watermarks, with their values."""
    return asyncio.run(_read(bootstrap, topics, "read_committed"))


def stable_ends(bootstrap: str, topics: Sequence[str]) -> dict[TopicPartition, int]:
    """The last stable offset of each partition of the topics: what is below is decided."""

    async def ask() -> dict[TopicPartition, int]:
        async with _consumer(bootstrap, "read_committed") as consumer:
            found = await _assign(bootstrap, consumer, topics)
            ends = await _ask(lambda: consumer.end_offsets(list(found)))
            return {TopicPartition(*at): end for at, end in ends.items()}

    return asyncio.run(ask())


# ----------------------------------------------------------------------------------- reading


@contextlib.asynccontextmanager
async def _consumer(bootstrap: str, isolation: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A started consumer without a group; a broker that is just away is waited for."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            isolation_level=isolation,
            auto_offset_reset="none",
            enable_auto_commit=False,
            max_partition_fetch_bytes=_FETCH_BYTES,
            metadata_max_age_ms=1000,
        )
        try:
            await consumer.start()
            break
        except (KafkaError, OSError):
            await consumer.stop()
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_RETRY_S)
    try:
        yield consumer
    finally:
        await consumer.stop()


@contextlib.asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await _ask(admin.start)
    try:
        yield admin
    finally:
        await admin.close()


async def _assign(
    bootstrap: str, consumer: AIOKafkaConsumer, topics: Sequence[str]
) -> dict[KafkaPartition, int]:
    """Assign all partitions of the topics from their log starts, which are returned."""
    async with _admin(bootstrap) as admin:
        described = await _ask(lambda: admin.describe_topics(list(topics)))
    unknown = [topic["topic"] for topic in described if not topic["partitions"]]
    assert not unknown, f"no such topics: {', '.join(unknown)}"
    found = [
        KafkaPartition(topic["topic"], partition["partition"])
        for topic in described
        for partition in topic["partitions"]
    ]
    starts: dict[KafkaPartition, int] = await _ask(lambda: consumer.beginning_offsets(found))
    consumer.assign(found)
    for at, start in starts.items():
        consumer.seek(at, start)
    return starts


async def _ask(question: Any) -> Any:
    """The answer; a broker that is just away is asked again."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await question()
        except (KafkaError, OSError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_RETRY_S)


async def _behind(consumer: AIOKafkaConsumer, ends: dict[KafkaPartition, int]) -> bool:
    """Whether the consumer has not yet come to these offsets everywhere."""
    return any([await consumer.position(at) < end for at, end in ends.items()])


async def _read(
    bootstrap: str, topics: Sequence[str], isolation: str
) -> dict[TopicPartition, list[Record]]:
    """Records up to the present high watermarks."""
    async with (
        _consumer(bootstrap, "read_uncommitted") as uncommitted_consumer,
        _consumer(bootstrap, isolation) as consumer,
    ):
        starts = await _assign(bootstrap, consumer, topics)
        ends = await _ask(lambda: uncommitted_consumer.end_offsets(list(starts)))
        found: dict[TopicPartition, list[Record]] = {TopicPartition(*at): [] for at in starts}
        deadline = time.monotonic() + PATIENCE_S
        while await _behind(consumer, ends):
            assert time.monotonic() < deadline, f"{isolation} did not come to the end: {ends}"
            for at, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                found[TopicPartition(*at)] += [_record(r) for r in records if r.offset < ends[at]]
        return found


async def _processed(
    bootstrap: str, group: str, inbound: Sequence[str]
) -> dict[TopicPartition, int]:
    async with _admin(bootstrap) as admin:
        offsets = await _ask(lambda: admin.list_consumer_group_offsets(group))
    return {
        TopicPartition(*at): found.offset
        for at, found in offsets.items()
        if at.topic in inbound and found.offset >= 0
    }


def _record(record: ConsumerRecord[bytes, bytes]) -> Record:
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )


def _logs(found: dict[TopicPartition, list[Record]]) -> Logs:
    return {at: [_seen(record) for record in records] for at, records in found.items()}


def _seen(record: Record) -> Seen:
    headers = dict(record.headers)
    digest = hashlib.sha256(repr((record.key, record.value, record.headers)).encode())
    return Seen(
        record.offset,
        headers.get("ce_source", b"").decode(),
        headers.get("ce_id", b"").decode(),
        record.key or b"",
        digest.hexdigest()[:_DIGEST_CHARACTERS],
    )


# ------------------------------------------------------------------------------- the process


async def _observe(bootstrap: str, file: TextIO, topics: Sequence[str]) -> None:
    """Write down starts, every poll that brought something, and ends, a line each.

    Standard input that closes is the sign to end.
    """
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin, stopped.set)
    async with _consumer(bootstrap, "read_committed") as consumer:
        starts = await _assign(bootstrap, consumer, topics)
        _write(file, [[*at, start] for at, start in starts.items()])
        sys.stdout.write("reading\n")
        sys.stdout.flush()
        number = 0
        ends: dict[KafkaPartition, int] | None = None
        while ends is None or await _behind(consumer, ends):
            if ends is None and stopped.is_set():
                loop.remove_reader(sys.stdin)
                ends = await _ask(lambda: consumer.end_offsets(list(starts)))
            polled = await consumer.getmany(timeout_ms=_POLL_MS)
            for at, records in polled.items():
                seen = [_seen(_record(record)) for record in records]
                _write(file, [number, *at, [[*s[:3], s.key.hex(), s.digest] for s in seen]])
            number += bool(polled)
        _write(file, [[*at, await consumer.position(at)] for at in starts])


def _write(file: TextIO, line: list[Any]) -> None:
    file.write(json.dumps(line) + "\n")
    file.flush()


def _recorded(name: str, file: Path) -> Reader:
    """What a reader wrote down."""
    first, *polls, last = (json.loads(line) for line in file.read_text("utf-8").splitlines())
    return Reader(
        name,
        {TopicPartition(topic, partition): start for topic, partition, start in first},
        tuple(
            Poll(
                number,
                TopicPartition(topic, partition),
                tuple(
                    Seen(offset, source, event, bytes.fromhex(key), digest)
                    for offset, source, event, key, digest in seen
                ),
            )
            for number, topic, partition, seen in polls
        ),
        {TopicPartition(topic, partition): end for topic, partition, end in last},
    )


if __name__ == "__main__":
    with Path(sys.argv[2]).open("w", encoding="utf-8") as output:
        asyncio.run(_observe(sys.argv[1], output, sys.argv[3:]))
