"""`cimstream dlq redrive` on a real Kafka: each message enters again exactly once."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping

import pytest

from connectors.inbound import admit, admit_oversize, refuse
from streams.engine.errors import UnknownOutcomeError
from streams.engine.kafka import KafkaSettings, TransactionalProducer
from streams.engine.record import Output, Record, TopicPartition
from streams.runtime import redrive as runtime
from streams.runtime.reading import Range, TopicReader
from tests.commands import examples
from tests.integration.data_rig import (
    COMMAND,
    ROOT,
    Done,
    cimstream,
    committed,
    environment,
    lines,
    make_topics,
    message,
    times_there,
)
from topics import load_catalogue

pytestmark = pytest.mark.integration

CATALOGUE = load_catalogue()
INBOUND, REJECTED, AUDIT = "cim.i7.inbound", "cim.i7.rejected", "cim.audit"
JSON = ("-o", "json")


@pytest.fixture(scope="module")
def cluster(kafka: str) -> str:
    make_topics(kafka)
    return kafka


@pytest.fixture
def source() -> str:
    """A sender of the test's own, so that its filter finds nothing of others."""
    return f"HES-{uuid.uuid4().hex[:12]}"


def write(cluster: str, *outputs: Output) -> list[Record]:
    """Produce in one transaction; where they lie now."""
    producer = TransactionalProducer(KafkaSettings(cluster), f"test-{uuid.uuid4()}")
    producer.reset()
    producer.begin()
    for output in outputs:
        producer.produce(output)
    producer.commit()
    producer.close()
    return [
        record
        for topic in dict.fromkeys(output.topic for output in outputs)
        for record in committed(cluster, topic)
        if record.value in {output.value for output in outputs}
    ]


def rejected(data: bytes, code: str = "noun_planned", interface: str = "I7") -> Output:
    """A rejection of a message that is good today, as a connector writes it."""
    refusal = refuse(admit(data, interface, CATALOGUE, received_ms=1), code, "")
    return Output(refusal.topic, refusal.key, refusal.value, refusal.headers)


def reject(cluster: str, source: str, count: int) -> list[bytes]:
    """So many rejections of the source; the messages."""
    contents = [message(source=source) for _ in range(count)]
    write(cluster, *(rejected(data) for data in contents))
    return contents


def redrive(cluster: str, *arguments: str) -> Done:
    return cimstream(cluster, "dlq", "redrive", *arguments)


def planned(cluster: str, *arguments: str) -> list[str]:
    """The places that would be redriven; not more than are shown."""
    (found,) = lines(redrive(cluster, *arguments, "--dry-run", *JSON))
    groups: list[dict] = found["groups"]  # type: ignore[assignment]
    places = [place for group in groups for place in group["first"]]
    assert len(places) == found["redrivable"], "the test needs more than is shown"
    return sorted(places)


def audited(cluster: str, records: list[Record]) -> list[int]:
    """How many audit records each place has."""
    keys = [record.key for record in committed(cluster, AUDIT)]
    return [keys.count(str(record).encode()) for record in records]


def ends(cluster: str) -> Mapping[TopicPartition, Range]:
    """What read_uncommitted sees, markers of transactions included."""
    with TopicReader(KafkaSettings(cluster)) as reader:
        existing = reader.topics()
        topics = (INBOUND, AUDIT, REJECTED)
        return reader.bounds((at for t in topics for at in existing[t]), committed=False)


# ------------------------------------------------------------------------------ the filter


def test_each_part_of_the_filter_chooses(cluster: str, source: str) -> None:
    other = f"{source}-b"
    records = write(
        cluster,
        rejected(message(source=source)),
        rejected(message(source=source), "noun_unknown"),
        rejected(message(source=source), interface="I9"),
        rejected(message(source=other)),
    )
    places = {record.topic + str(index): str(record) for index, record in enumerate(records)}
    a, b, d, c = (places[f"{t}{n}"] for n, t in enumerate([REJECTED] * 3 + ["cim.i9.rejected"]))
    ours = ("--source", source)
    assert planned(cluster, *ours) == sorted([a, b, c])
    assert planned(cluster, *ours, "--code", "noun_unknown") == [b]
    assert planned(cluster, *ours, "--interface", "i9") == [c]
    assert planned(cluster, "--source", other) == [d]
    assert planned(cluster, *ours, "--interface", "I7", "--limit", "1") == [a]
    assert planned(cluster, a, d.removeprefix("cim.")) == sorted([a, d])


def test_the_times_of_the_filter_are_those_of_the_log(cluster: str, source: str) -> None:
    first, second = (write(cluster, rejected(message(source=source)))[0] for _ in range(2))
    if first.timestamp_ms == second.timestamp_ms:
        pytest.skip("both in one millisecond")
    between = str(lines(cimstream(cluster, "dlq", "show", str(second), *JSON))[0]["time"])
    ours = ("--source", source)
    assert planned(cluster, *ours, "--since", between) == [str(second)]
    assert planned(cluster, *ours, "--until", between) == [str(first)]
    assert planned(cluster, *ours, "--since", "1h") == sorted([str(first), str(second)])
    nothing = redrive(cluster, *ours, "--until", "1h")
    assert (nothing.returncode, b"nothing_matches" in nothing.stderr) == (1, True)


def test_list_has_the_same_filter(cluster: str, source: str) -> None:
    records = write(cluster, *(rejected(message(source=source)) for _ in range(3)))
    ours = ("dlq", "list", "--source", source, *JSON)
    assert [one["place"] for one in lines(cimstream(cluster, *ours))] == list(map(str, records))
    last = lines(cimstream(cluster, *ours, "--limit", "1", "--until", "2100-01-01T00:00:00Z"))
    assert [one["place"] for one in last] == [str(records[2])]
    assert lines(cimstream(cluster, *ours, "--until", "1h")) == []


# ------------------------------------------------------------------------------ the preview


def test_nothing_is_changed_before_it_is_confirmed(cluster: str, source: str) -> None:
    """Not even another redrive's right to go on: whoever only looks fences nobody."""
    (data,) = reject(cluster, source, 1)
    other = TransactionalProducer(KafkaSettings(cluster), runtime.TRANSACTIONAL_ID)
    other.reset()
    before = ends(cluster)
    dry = redrive(cluster, "--source", source, "--dry-run", "--yes")
    unasked = redrive(cluster, "--source", source)
    assert (dry.returncode, unasked.returncode) == (0, 3)
    assert "1 message" in unasked.stdout.decode()
    assert "--yes" in unasked.stderr.decode()
    assert ends(cluster) == before
    other.begin()
    other.produce(Output(AUDIT, b"test", b"{}"))
    other.commit()
    other.close()
    assert times_there(cluster, INBOUND, [data]) == [0]


def test_the_preview_says_what_is_not_redriven_and_why(cluster: str, source: str) -> None:
    control = message(source=source).replace(b"create</Verb>", b"execute</Verb>")
    head = admit_oversize(
        message(source=source)[:400],
        "I7",
        CATALOGUE,
        size=10**7,
        sha256="0" * 64,
        received_ms=1,
    )
    good = message(source=source)
    write(
        cluster,
        rejected(good),
        rejected(control),
        rejected(message(source=source), "identity_conflict"),
        Output(head.topic, head.key, head.value, head.headers),
    )
    done = redrive(cluster, "--source", source, "--yes", *JSON)
    found, sent, total = lines(done)
    left_out = {one["reason"]: one["messages"] for one in found["left_out"]}  # type: ignore[attr-defined]
    assert left_out == {"control": 1, "settled": 1, "incomplete": 1}
    assert (sent["event"], total["redriven"]) == ("redriven", 1)
    assert times_there(cluster, INBOUND, [good, control]) == [1, 0]
    text = " ".join(redrive(cluster, "--source", source).stdout.decode().split())
    for said in ("nobody knows whether it has expired", "issue it anew", "redriven already"):
        assert said in text


# ------------------------------------------------------------------------------ exactly once


def test_a_message_enters_again_once_and_the_audit_tells_of_it(cluster: str, source: str) -> None:
    contents = [message(source=source) for _ in range(30)]
    records = write(cluster, *map(rejected, contents))
    first = redrive(cluster, "--source", source, "--yes")
    assert (first.returncode, first.stderr.decode().strip()) == (0, "30 redriven")
    again = redrive(cluster, "--source", source, "--yes")
    assert again.returncode == 0, "what is done is done, and nothing is wrong"
    assert "30 messages" in again.stdout.decode()
    assert times_there(cluster, INBOUND, contents) == [1] * 30
    assert audited(cluster, records) == [1] * 30
    entered = {record.value: record for record in committed(cluster, INBOUND)}
    for record in records:
        inbound = entered[record.value]
        assert dict(inbound.headers)["cimstream_redrivenfrom"] == str(record).encode()
        assert inbound.key == record.key


def test_what_was_redriven_is_redriven_once_more_only_when_asked(cluster: str, source: str) -> None:
    contents = reject(cluster, source, 3)
    ours = ("--source", source, "--yes")
    for _ in range(2):
        assert redrive(cluster, *ours).returncode == 0
        assert times_there(cluster, INBOUND, contents) == [1] * 3
    assert redrive(cluster, *ours, "--again").returncode == 0
    assert times_there(cluster, INBOUND, contents) == [2] * 3


def test_a_limit_goes_on_where_the_last_one_ended(cluster: str, source: str) -> None:
    contents = reject(cluster, source, 5)
    for expected in ([1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]):
        assert redrive(cluster, "--source", source, "--limit", "2", "--yes").returncode == 0
        assert list(times_there(cluster, INBOUND, contents)) == expected


def test_a_message_of_another_context_enters_for_its_context(cluster: str, source: str) -> None:
    data = message(source=source, context="TRAINING")
    (record,) = write(cluster, rejected(data))
    assert record.topic == "cim.training.i7.rejected"
    assert planned(cluster, "--interface", "I7", "--source", source) == [str(record)]
    assert redrive(cluster, str(record), "--yes").returncode == 0
    (entered,) = [one for one in committed(cluster, INBOUND) if one.value == data]
    assert (entered.key or b"").startswith(b"TRAINING|")


def test_the_example_of_the_help_works(cluster: str, source: str) -> None:
    reject(cluster, source, 1)
    (arguments,) = examples(("dlq", "redrive"))
    done = cimstream(cluster, *arguments)
    assert done.returncode == 0, done.stderr.decode()
    assert "To be redriven" in done.stdout.decode()


# ------------------------------------------------------------------------------ faults


def child(cluster: str, step: str, nth: int, *arguments: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", "tests.integration.redrive_child", step, str(nth),
         "dlq", "redrive", *arguments],
        env=environment(cluster),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=120,
    ).returncode  # fmt: skip


def start(cluster: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, "dlq", "redrive", *arguments, "--yes", *JSON],
        env=environment(cluster),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def await_lines(process: subprocess.Popen[str], count: int) -> int:
    """Read until so many messages were redriven, or its end; how many were."""
    assert process.stdout is not None
    seen = 0
    for line in process.stdout:
        seen += json.loads(line)["event"] == "redriven"
        if seen == count:
            break
    return seen


@pytest.mark.chaos
@pytest.mark.parametrize("step", ["fenced", "produced", "committed"])
def test_killed_at_each_step_each_message_enters_once(cluster: str, source: str, step: str) -> None:
    contents = reject(cluster, source, 20)
    ours = ("--source", source, "--yes", "--rate", "25")  # five a transaction
    for nth in (0,) if step == "fenced" else (1, 2):
        assert child(cluster, step, nth, *ours) == -signal.SIGKILL
    assert redrive(cluster, *ours).returncode == 0
    assert times_there(cluster, INBOUND, contents) == [1] * 20


@pytest.mark.chaos
def test_killed_at_random_moments_again_and_again_each_message_enters_once(
    cluster: str, source: str
) -> None:
    """Goal: no loss and no repeat. Method: kill -9 after a random number of them, until done."""
    contents = [message(source=source) for _ in range(300)]
    records = write(cluster, *map(rejected, contents))
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    kills = 0
    while True:
        patience = chance.randrange(1, 60) if kills < 10 else -1
        with start(cluster, "--source", source, "--rate", "100") as process:
            if await_lines(process, patience) == patience:
                process.kill()
                kills += 1
            else:
                process.communicate(timeout=120)
        if process.returncode == 0:
            break
    assert kills >= 5, f"seed {seed}"
    assert times_there(cluster, INBOUND, contents) == [1] * 300, f"seed {seed}"
    assert audited(cluster, records) == [1] * 300, f"seed {seed}"


@pytest.mark.parametrize("happened", [True, False])
def test_a_commit_whose_outcome_is_unknown_is_settled_by_the_audit(
    cluster: str, source: str, monkeypatch: pytest.MonkeyPatch, happened: bool
) -> None:
    """Also with --again, where the audit has records of these places from before."""
    contents = reject(cluster, source, 4)
    ours = ("--source", source, "--yes")
    assert redrive(cluster, *ours).returncode == 0
    unheard: list[bool] = []

    class Unheard(TransactionalProducer):
        def commit(self) -> None:
            if unheard:
                super().commit()
                return
            unheard.append(True)
            if happened:
                super().commit()
            raise UnknownOutcomeError("no answer")

    monkeypatch.setattr(runtime, "TransactionalProducer", Unheard)
    done = redrive(cluster, *ours, "--again")
    assert (done.returncode, unheard) == (0, [True])
    assert done.stderr.decode().splitlines()[-1] == "4 redriven"
    assert times_there(cluster, INBOUND, contents) == [2] * 4


def test_of_two_redrives_the_later_one_ends_the_earlier_one(cluster: str, source: str) -> None:
    contents = reject(cluster, source, 60)
    with start(cluster, "--source", source, "--rate", "5") as first:
        assert await_lines(first, 3) == 3
        second = redrive(cluster, "--source", source, "--yes")
        _, told = first.communicate(timeout=120)
    assert second.returncode == 0
    assert first.returncode == 75
    assert "another redrive began" in told
    assert "Traceback" not in told
    assert times_there(cluster, INBOUND, contents) == [1] * 60


def test_an_interrupted_redrive_ends_in_order_and_another_one_goes_on(
    cluster: str, source: str
) -> None:
    contents = reject(cluster, source, 40)
    with start(cluster, "--source", source, "--rate", "10") as process:
        assert await_lines(process, 2) == 2
        process.send_signal(signal.SIGINT)
        out, told = process.communicate(timeout=120)
    assert process.returncode == 130
    summary = json.loads(out.splitlines()[-1])
    assert summary["redriven"] + summary["left"] == 40
    assert summary["left"] > 0
    assert "left because it was interrupted" in told
    assert sum(times_there(cluster, INBOUND, contents)) == summary["redriven"]
    assert redrive(cluster, "--source", source, "--yes").returncode == 0
    assert times_there(cluster, INBOUND, contents) == [1] * 40


def test_what_was_redriven_behind_another_ones_open_transaction_is_seen(
    cluster: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Goal: readers see nothing behind an open transaction, and we must not take that for all.

    Method: another process opens one in the audit, a redrive commits behind it and is started
    again; the other one ends only once ours has asked how far to read.
    """
    contents = reject(cluster, source, 3)
    patient = KafkaSettings(cluster, transaction_timeout_ms=60_000)
    other = TransactionalProducer(patient, f"other-{source}")
    other.reset()
    other.begin()
    other.produce(Output(AUDIT, b"test", b"{}"))
    other._producer.flush()  # type: ignore[union-attr]
    again: list[bool] = []

    class EndsOther(TopicReader):
        def records(self, ranges: Mapping[TopicPartition, Range]) -> Iterator[Record]:
            if again and any(at.topic == AUDIT for at in ranges):
                again.clear()
                other.abort()
            return super().records(ranges)

    # The first one does not wait for the other's end: it asks for nothing that could be open.
    ours = ("--source", source, "--yes")
    with monkeypatch.context() as patch:
        patch.setattr(runtime, "redriven", lambda *_, **__: set())
        assert redrive(cluster, *ours).returncode == 0
    monkeypatch.setattr(runtime, "TopicReader", EndsOther)
    again.append(True)
    done = redrive(cluster, *ours, *JSON)
    assert lines(done)[-1]["meanwhile"] == 3
    assert not again
    other.close()
    assert times_there(cluster, INBOUND, contents) == [1] * 3


def test_what_the_broker_refuses_stays_rejected_and_is_told(
    cluster: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka's client refuses what is over its own limit, before it is sent."""
    small, large = message(source=source), message(source=source)
    large = large.replace(b"</RequestMessage>", random.randbytes(3_000_000).hex().encode())
    write(cluster, rejected(small), _whole(large))

    class Small(TransactionalProducer):
        def __init__(self, settings: KafkaSettings, transactional_id: str) -> None:
            limited = KafkaSettings(settings.bootstrap_servers, message_bytes_max=1_000_000)
            super().__init__(limited, transactional_id)

    monkeypatch.setattr(runtime, "TransactionalProducer", Small)
    done = redrive(cluster, "--source", source, "--yes")
    assert done.returncode == 1
    assert "1 redriven, 1 refused by the broker" in done.stderr.decode()
    assert times_there(cluster, INBOUND, [small, large]) == [1, 0]


def _whole(data: bytes) -> Output:
    """A rejection behind intake, which keeps all of it."""
    admitted = admit(data, "I7", CATALOGUE, received_ms=1)
    told = (*admitted.headers, ("cimstream_code", b"xml_not_wellformed"))
    return Output(REJECTED, admitted.key, data, told)


# ------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "neither a place nor a filter"),
        (("--limit", "5"), 2, "neither a place nor a filter"),
        (("cim.i7.rejected/0@0", "--code", "noun_planned"), 2, "exclude each other"),
        (("--code", "nonsense"), 2, "nonsense"),
        (("--interface", "I12"), 2, "I12"),
        (("--since", "yesterday"), 2, "yesterday"),
        (("--since", "1h", "--until", "2h"), 2, "--until"),
        (("--rate", "0", "--since", "1h"), 2, "--rate"),
        (("--source", "nobody-of-this-name"), 1, "nothing was rejected that this filter"),
        (("cim.i7.rejected",), 2, "PARTITION@OFFSET"),
        (("cim.i7.rejected/0@999999999",), 1, "no committed record"),
        (("cim.i7.rejected/999@0",), 1, "no committed record"),
        (("cim.i7.inbound/0@0",), 2, "not a topic of rejected messages"),
        (("cim.audit/0@0",), 2, "not a topic of rejected messages"),
        (("cim.i7.rejekted/0@0",), 2, "i7.rejected"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(
    cluster: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = ends(cluster)
    done = redrive(cluster, *arguments, "--yes")
    assert done.returncode == code, done.stderr.decode()
    assert said in done.stderr.decode()
    assert ends(cluster) == before


def test_one_place_that_cannot_be_redriven_stops_the_others_that_were_named(
    cluster: str, source: str
) -> None:
    good = message(source=source)
    control = message(source=source).replace(b"create</Verb>", b"execute</Verb>")
    places = [str(record) for record in write(cluster, rejected(good), rejected(control))]
    before = ends(cluster)
    for named in (places, places[1:], [places[0], "cim.i7.rejected/0@999999999"]):
        done = redrive(cluster, *named, "--yes")
        assert done.returncode == 1
        assert "nothing was changed" in done.stderr.decode() or "no committed" in str(done.stderr)
    assert ends(cluster) == before
    only_controls = redrive(cluster, "--source", source, "--code", "noun_planned", "--yes")
    assert only_controls.returncode == 0, "the good one is redriven, the other is told of"
    assert times_there(cluster, INBOUND, [good, control]) == [1, 0]


def test_where_the_audit_is_missing_nothing_is_redriven(
    cluster: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = reject(cluster, source, 1)
    every = TopicReader.topics

    def without(self: TopicReader) -> dict[str, tuple[TopicPartition, ...]]:
        return {name: at for name, at in every(self).items() if name != AUDIT}

    with monkeypatch.context() as patch:
        patch.setattr(TopicReader, "topics", without)
        done = redrive(cluster, "--source", source, "--yes")
    assert done.returncode == 2
    assert "cimstream topics apply" in done.stderr.decode()
    assert times_there(cluster, INBOUND, contents) == [0]


def test_a_broker_that_does_not_answer_is_told() -> None:
    with_nobody = {**os.environ, "CIMSTREAM_BOOTSTRAP": "127.0.0.1:9"}
    done = subprocess.run(
        [*COMMAND, "dlq", "redrive", "--since", "1h", "--yes"],
        env=with_nobody,
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 69
