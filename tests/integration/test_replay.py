"""`cimstream replay` on a real Kafka, against what a real intake left there."""

from __future__ import annotations

import json
import os
import pty
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Timer

import pytest
from confluent_kafka import KafkaException

from schemas.avro import encode_provenance, split
from schemas.times import from_epoch_ms
from streams.demo import messages as m
from streams.engine.errors import FencedError, UnknownOutcomeError
from streams.engine.kafka import KafkaSettings, TransactionalProducer
from streams.engine.ports import Origin
from streams.engine.record import Output, Record, TopicPartition
from streams.runtime.reading import TopicReader
from streams.runtime.replay import (
    INTO_LOG,
    Plan,
    Run,
    Wanted,
    rehearsal,
    resolve,
    transactional_id,
    write,
)
from tests.commands import examples
from tests.integration.data_rig import COMMAND, cimstream, committed, environment, make_topics
from tests.integration.replay_rig import (
    CATALOGUE,
    EVENTS,
    INBOUND,
    LOG,
    PATIENCE_S,
    TRAINING,
    Rig,
    compared,
    counts,
    event_id,
    new_source,
    reading,
    written,
)
from topics import naming, provision
from topics.catalogue import side_spec

pytestmark = pytest.mark.integration

KILLS = 2


@pytest.fixture
def rig(kafka: str, tmp_path: Path) -> Rig:
    """A cluster whose intake has nothing left to do; the range begins here."""
    make_topics(kafka)
    subject = Rig(kafka, tmp_path)
    if subject.lag():
        subject.process()
    subject.begin()
    return subject


def new_id() -> str:
    return f"t-{uuid.uuid4().hex[:8]}"


def side(replay_id: str, topic: str) -> str:
    return naming.replayed(replay_id, topic)


def all_sorts(source: str) -> list[bytes]:
    """Messages of every fate: events of both nouns, a reply, rejections, a repeat, a conflict."""
    good, bad = (m.full_meter(x, [v], m.times(1)) for x, v in (("a", "1"), ("b", "much")))
    return [
        *(reading(number, source) for number in range(5)),
        reading(5, source, verb="create"),
        reading(6, source, extra="<Context>TRAINING</Context>"),
        reading(0, source),
        reading(1, source, value="2.5"),
        m.envelope(m.meter_readings([good, bad]), message_id="m-7", source=source, verb="create"),
        m.envelope(m.end_device_events(["x", "y"]), message_id="m-8", source=source,
                   noun="EndDeviceEvents"),
        m.envelope("", message_id="m-9", source=source, noun="Assets"),
    ]  # fmt: skip


# ----------------------------------------------------------------------------------- dry run


def test_a_dry_run_of_an_unchanged_log_finds_only_the_same_and_writes_nothing(rig: Rig) -> None:
    source = new_source()
    rig.send(all_sorts(source))
    rig.send([reading("misplaced", source)], key=b"a key of one's own")
    rig.process()
    before = rig.ends()

    done = rig.replay()

    assert rig.ends() == before
    code, logs = compared(done)
    assert code == 0
    assert {log: counts(row) for log, row in logs.items()} == {
        LOG: [8, 0, 0, 0],
        TRAINING: [1, 0, 0, 0],
        EVENTS: [2, 0, 0, 0],
    }
    rejected = json.loads(done.stdout)["rejected"]
    assert {code: one["count"] for code, one in rejected.items()} == {
        "identity_conflict": 1,
        "interface_not_allowed": 1,
        "value_not_number": 1,
    }


def test_people_are_shown_the_same_as_a_table(rig: Rig) -> None:
    source = new_source()
    rig.send(all_sorts(source))
    rig.process(lost={event_id(2)})
    done = cimstream(rig.kafka, "replay", "-i", "i7", *rig.range())
    text = done.stdout.decode()
    assert done.returncode == 3
    (row,) = [line.split() for line in text.splitlines() if line.strip().startswith(LOG)]
    assert row[1:5] == ["6", "1", "·", "·"]
    assert f"missing: {INBOUND}/" in text
    assert "value_not_number" in text
    assert "Dry run: nothing was written." in text


# ------------------------------------------------------------------------------- into the log


def test_what_the_log_lacks_or_has_otherwise_is_found_and_mended_and_nothing_else(
    rig: Rig,
) -> None:
    source, replay_id = new_source(), new_id()
    rig.send([*(reading(number, source) for number in range(7)), *all_sorts(source)[7:]])
    rig.process(lost={event_id(2), event_id(3)}, altered={event_id(4)})
    before = rig.ends()

    code, logs = rig.compared()
    assert (code, counts(logs[LOG])) == (3, [5, 2, 1, 0])
    places = {str(record): record for record in committed(rig.kafka, INBOUND)}
    missing = [dict(places[place].headers)["ce_id"] for place in logs[LOG]["places"]["missing"]]  # type: ignore[index]
    assert sorted(missing) == [b"m-2", b"m-3"]

    done = rig.replay("--into", "log", "--id", replay_id, "--yes")

    assert written(done)["events"] == 3
    once = {event_id(number): 1 for number in range(8)}
    assert rig.ids(LOG, source) == {**once, event_id(4): 2}
    assert len(marked(rig.records(LOG, source), replay_id)) == 3
    changed = {at.topic for at, end in rig.ends().items() if before.get(at) != end}
    assert changed == {LOG, naming.AUDIT, naming.REPLAY_RUNS}
    code, logs = rig.compared()
    assert (code, counts(logs[LOG])) == (0, [8, 0, 0, 0])


def marked(records: list[Record], replay_id: str) -> list[Record]:
    """Those that a replay wrote."""
    return [r for r in records if ("cimstream_replayid", replay_id.encode()) in r.headers]


def test_a_log_that_lacks_nothing_gets_nothing_and_no_audit_record(rig: Rig) -> None:
    source = new_source()
    rig.send(all_sorts(source))
    rig.process()
    before = rig.ends()
    done = rig.replay("--into", "log", "--yes")
    assert done.returncode == 0
    assert rig.ends() == before


def test_an_event_that_the_present_processors_do_not_make_is_told_and_left_alone(
    rig: Rig,
) -> None:
    source = new_source()
    much = reading(0, source, value="much")
    rig.send([much, reading(1, source)])
    rig.process()
    (event,) = rig.records(LOG, source)
    (bad,) = [r for r in committed(rig.kafka, INBOUND) if r.value == much]
    write_raw(rig.kafka, as_if_from(event, bad))

    code, logs = rig.compared()
    assert (code, counts(logs[LOG])) == (3, [1, 0, 0, 1])
    rig.replay("--into", "log", "--yes")
    assert rig.ids(LOG, source) == {"m-0#0": 1, "m-1#0": 1}


def as_if_from(event: Record, inbound: Record) -> Output:
    """The event as an earlier release made it from another message."""
    provenance, rest = split(event.value or b"")
    made = encode_provenance(
        inbound.topic, inbound.partition, inbound.offset, "m-0", provenance.source, 0
    )
    headers = tuple((n, b"m-0#0" if n == "ce_id" else v) for n, v in event.headers)
    return Output(LOG, event.key, rest[:5] + made + rest[5:], headers)


def write_raw(kafka: str, output: Output) -> None:
    producer = TransactionalProducer(KafkaSettings(kafka), f"test-{uuid.uuid4()}")
    producer.reset()
    producer.begin()
    producer.produce(output, None)
    producer.commit()
    producer.close()


def test_an_event_behind_a_transaction_that_is_still_open_is_not_missing(rig: Rig) -> None:
    """Readers do not see it before that transaction ends; to write it again would be wrong."""
    source = new_source()
    rig.send([reading(number, source) for number in range(20)])
    open_ = TransactionalProducer(KafkaSettings(rig.kafka), f"test-{uuid.uuid4()}")
    open_.reset()
    open_.begin()
    for at in rig.bounds(LOG):
        open_.produce(Output(LOG, b"k", b"v", (), at.partition), None)
    rig.process()
    ending = Timer(2.0, open_.abort)
    ending.start()

    code, logs = rig.compared()

    ending.join()
    open_.close()
    assert (code, counts(logs[LOG])) == (0, [20, 0, 0, 0])


@pytest.mark.parametrize(("answer", "code", "events"), [(b"n\n", 1, 0), (b"y\n", 0, 1)])
def test_a_person_is_asked_before_anything_is_written(
    rig: Rig, answer: bytes, code: int, events: int
) -> None:
    source, replay_id = new_source(), new_id()
    rig.send([reading(0, source)])
    rig.process(lost={event_id(0)})
    ours, theirs = pty.openpty()
    command = [*COMMAND, "replay", "-i", "I7", *rig.range(), "--into", "log", "--id", replay_id]
    with subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(rig.kafka),
    ) as process:  # fmt: skip
        os.write(ours, answer)
        out, err = process.communicate(timeout=PATIENCE_S)
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code, err.decode()
    assert f"Append 1 events to the log, as replay {replay_id}?" in (out + err).decode()
    assert rig.ids(LOG, source).total() == events


# ---------------------------------------------------------------------------- into side logs


def test_side_logs_hold_the_whole_range_once_under_the_id(rig: Rig) -> None:
    source, replay_id = new_source(), new_id()
    rig.send(all_sorts(source))
    rig.process(lost={event_id(2)})
    before = rig.ends()

    done = rig.replay("--into", "side", "--id", replay_id, "--yes")

    assert (written(done)["events"], written(done)["rejections"]) == (10, 3)
    for topic in (LOG, EVENTS, TRAINING):
        expected = {**rig.ids(topic, source), **({event_id(2): 1} if topic == LOG else {})}
        found = rig.records(side(replay_id, topic), source)
        assert rig.ids(side(replay_id, topic), source) == expected
        assert marked(found, replay_id) == found
    there = {r.value for r in rig.records(LOG, source)}
    assert there < {r.value for r in rig.records(side(replay_id, LOG), source)}
    codes = [dict(r.headers)["cimstream_code"]
             for r in rig.records(side(replay_id, "cim.i7.rejected"), source)]  # fmt: skip
    assert sorted(codes) == [b"identity_conflict", b"interface_not_allowed", b"value_not_number"]
    changed = {at.topic for at, end in rig.ends().items() if before.get(at, 0) != end}
    assert {topic for topic in changed if "replay-" not in topic} == {
        naming.AUDIT,
        naming.REPLAY_RUNS,
    }
    assert not [at for at in rig.ends() if "outbound" in at.topic and "replay-" in at.topic]


def test_an_event_that_the_broker_refuses_is_rejected_alone(rig: Rig) -> None:
    source, replay_id = new_source(), new_id()
    many = m.full_meter("large", m.values(1, 500), m.times(500))
    large = m.envelope(m.meter_readings([many]), message_id="m-large", source=source)
    rig.send([reading(0, source), large, *(reading(number, source) for number in range(1, 50))])
    rig.process()
    (log,) = [spec for spec in CATALOGUE.topics() if spec.name == LOG]
    narrow = replace(log, config={**log.config, "max.message.bytes": "2000"})
    provision.ensure(provision.connect(rig.kafka), [side_spec(narrow, replay_id)])

    done = written(rig.replay("--into", "side", "--id", replay_id, "--yes"))

    assert (done["events"], done["rejections"], done["refused"]) == (50, 1, 1)
    assert rig.ids(side(replay_id, LOG), source) == {event_id(n): 1 for n in range(50)}
    (rejected,) = rig.records(side(replay_id, "cim.i7.rejected"), source)
    assert dict(rejected.headers)["cimstream_code"] == b"produce_refused"
    assert rejected.value == large


def test_what_was_done_is_one_audit_record_without_payload(rig: Rig) -> None:
    source, replay_id = new_source(), new_id()
    rig.send([reading(number, source) for number in range(3)])
    rig.process()
    for _ in range(2):
        written(rig.replay("--into", "side", "--id", replay_id, "--yes"))
    ours = [r for r in committed(rig.kafka, naming.AUDIT) if r.key == replay_id.encode()]
    (told,) = [json.loads(r.value or b"") for r in ours]
    assert (told["action"], told["into"], told["interface"]) == ("replay", "side", "I7")
    assert (told["events"], told["rejections"], told["refused"]) == (3, 0, 0)
    assert sum(map(width, told["range"].values())) >= 3
    assert source not in json.dumps(told)


def width(span: str) -> int:
    start, end = span.split("..")
    return int(end) - int(start)


def test_a_finished_replay_run_again_has_nothing_left_to_do(rig: Rig) -> None:
    source, replay_id = new_source(), new_id()
    rig.send([reading(number, source) for number in range(3)])
    rig.process()
    first = written(rig.replay("--into", "side", "--id", replay_id, "--yes"))
    before = rig.ends()
    assert written(rig.replay("--into", "side", "--id", replay_id, "--yes")) == first
    assert rig.ends() == before


# --------------------------------------------------------------------- before and behind it


@pytest.mark.parametrize("misplaced", [False, True])
def test_repeats_and_conflicts_whose_first_message_lies_before_the_range_are_recognised(
    rig: Rig, misplaced: bool
) -> None:
    source, replay_id = new_source(), new_id()
    rig.send([reading(number, source) for number in range(4)])
    rig.process()
    rig.begin()
    key = b"a key of one's own" if misplaced else None
    rig.send([reading(0, source), m.reserialised(reading(1, source))], key=key)
    rig.send([reading(2, source, value="7.5"), reading(9, source)], key=key)
    rig.process()

    code, logs = rig.compared()
    assert (code, counts(logs[LOG])) == (0, [1, 0, 0, 0])
    done = rig.replay("--into", "side", "--id", replay_id, "--yes")
    assert (written(done)["events"], written(done)["rejections"]) == (1, 1)
    assert rig.ids(side(replay_id, LOG), source) == {event_id(9): 1}


def test_a_range_ends_where_intake_has_got_to(rig: Rig) -> None:
    source = new_source()
    rig.send([reading(number, source) for number in range(20)])
    rig.process()
    rig.send([reading(number, source) for number in range(20, 40)])
    done = rig.replay()
    code, logs = compared(done)
    assert (code, counts(logs[LOG])) == (0, [20, 0, 0, 0])
    assert "still intake's work" in " ".join(json.loads(done.stdout)["notes"])


def test_a_range_ends_before_the_time_that_is_named(rig: Rig) -> None:
    source = new_source()
    rig.send([reading(number, source) for number in range(5)])
    times = [r.timestamp_ms for r in committed(rig.kafka, INBOUND) if mine(r, source)]
    time.sleep(0.01)
    rig.send([reading(number, source) for number in range(5, 10)])
    rig.process()
    since, until = (from_epoch_ms(t) for t in (min(times), max(times) + 1))
    done = cimstream(
        rig.kafka, "replay", "-i", "I7", "--since", since, "--until", until, "-o", "json"
    )
    code, logs = compared(done)
    assert (code, counts(logs[LOG])) == (0, [5, 0, 0, 0])


def mine(record: Record, source: str) -> bool:
    return ("ce_source", source.encode()) in record.headers


# ------------------------------------------------------------------------------------- kills


@pytest.mark.chaos
@pytest.mark.parametrize("into", ["side", "log"])
def test_a_replay_that_is_killed_hard_and_run_again_writes_each_event_once(
    rig: Rig, into: str
) -> None:
    """Goal: kill -9 at any moment, nothing twice, nothing missing.

    Method: killed as soon as another portion of it is committed, twice; the log lacks every
    second event, so that mending it takes as many portions.
    """
    source, replay_id, count = new_source(), new_id(), 1_500  # three portions
    rig.send([reading(number, source) for number in range(count)])
    rig.process(lost={event_id(number) for number in range(0, count, 2)})
    target = side(replay_id, LOG) if into == "side" else LOG
    options = ("--into", into, "--id", replay_id, "--yes")
    command = [*COMMAND, "replay", "-i", "I7", *rig.range(), *options]

    for _ in range(KILLS):
        before = rig.ids(target, source).total()
        with subprocess.Popen(
            command, env=environment(rig.kafka), stdout=subprocess.DEVNULL
        ) as process:
            deadline = time.monotonic() + PATIENCE_S
            while rig.ids(target, source).total() == before:
                assert process.poll() is None
                assert time.monotonic() < deadline
            process.kill()
    written(cimstream(rig.kafka, *command[len(COMMAND) :], "-o", "json"))

    assert rig.ids(target, source) == {event_id(number): 1 for number in range(count)}
    audited = [r for r in committed(rig.kafka, naming.AUDIT) if r.key == replay_id.encode()]
    assert len(audited) == 1
    events = json.loads(audited[0].value or b"")["events"]
    assert events == (count if into == "side" else count // 2)


class Intruded(TransactionalProducer):
    """A producer before whose first event something happens.

    `heard`: what the broker says of that event is awaited before the next one.
    """

    def __init__(
        self, settings: KafkaSettings, name: str, intrusion: Callable[[], None], *, heard: bool
    ) -> None:
        super().__init__(settings, name)
        self._intrusion: Callable[[], None] | None = intrusion
        self._heard = heard

    def produce(self, output: Output, origin: Origin | None = None) -> None:
        if output.topic != LOG or self._intrusion is None:
            super().produce(output, origin)
            return
        intrusion, self._intrusion = self._intrusion, None
        intrusion()
        super().produce(output, origin)
        if self._heard and self._producer is not None:
            with suppress(KafkaException, SystemError):
                self._producer.flush(PATIENCE_S)


def new_run(plan: Plan) -> Run:
    spans = {at.partition: (span.start, span.end) for at, span in plan.ranges.items()}
    positions = {partition: start for partition, (start, _) in spans.items()}
    return Run(new_id(), "I7", INTO_LOG, "x", spans, "ann", 1, positions)


@pytest.mark.parametrize("heard", [False, True], ids=["at its commit", "while it writes"])
def test_of_two_replays_that_mend_one_log_at_once_the_later_one_does_it_alone(
    rig: Rig, heard: bool
) -> None:
    source = new_source()
    rig.send([reading(number, source) for number in range(10)])
    rig.process(lost={event_id(number) for number in range(5)})
    settings = KafkaSettings(rig.kafka)

    def other() -> None:
        assert written(rig.replay("--into", "log", "--yes"))["events"] == 5

    with TopicReader(settings) as reader:
        plan = resolve(reader, CATALOGUE, Wanted("I7", places=begun(rig)))
        run = new_run(plan)
        with rehearsal(plan, CATALOGUE, settings, reader, lambda *_: None) as job:
            job.run()
            with pytest.raises(FencedError):
                write(job, run, Intruded(settings, transactional_id(run), other, heard=heard))

    assert rig.ids(LOG, source) == {event_id(number): 1 for number in range(10)}


def begun(rig: Rig) -> dict[TopicPartition, int]:
    ends = rig.bounds(INBOUND)
    return {at: start for at, start in rig.starts.items() if start < ends[at].end}


class Unheard(TransactionalProducer):
    """A producer of whose commits one is made, but its answer is lost."""

    def __init__(self, settings: KafkaSettings, name: str, which: int) -> None:
        super().__init__(settings, name)
        self._left = which

    def commit(self) -> None:
        super().commit()
        self._left -= 1
        if self._left == 0:
            raise UnknownOutcomeError("no answer in time")


@pytest.mark.parametrize("which", [1, 2, 3], ids=["the run", "its events", "its end"])
def test_after_an_unheard_commit_a_replay_goes_on_from_what_kafka_says(
    rig: Rig, which: int
) -> None:
    source = new_source()
    rig.send([reading(number, source) for number in range(10)])
    rig.process(lost={event_id(number) for number in range(5)})
    settings = KafkaSettings(rig.kafka)
    with TopicReader(settings) as reader:
        plan = resolve(reader, CATALOGUE, Wanted("I7", places=begun(rig)))
        run = new_run(plan)
        with rehearsal(plan, CATALOGUE, settings, reader, lambda *_: None) as job:
            job.run()
            done = write(job, run, Unheard(settings, transactional_id(run), which))

    assert done.events == 5
    assert rig.ids(LOG, source) == {event_id(number): 1 for number in range(10)}
    assert len([r for r in committed(rig.kafka, naming.AUDIT) if r.key == run.id.encode()]) == 1


def test_what_came_into_the_log_after_the_comparison_is_not_written_again(rig: Rig) -> None:
    """The log is read once more behind the fence."""
    source = new_source()
    rig.send([reading(number, source) for number in range(10)])
    rig.process(lost={event_id(number) for number in range(5)})
    settings = KafkaSettings(rig.kafka)
    with TopicReader(settings) as reader:
        plan = resolve(reader, CATALOGUE, Wanted("I7", places=begun(rig)))
        run = new_run(plan)
        with rehearsal(plan, CATALOGUE, settings, reader, lambda *_: None) as job:
            job.run()
            assert written(rig.replay("--into", "log", "--yes"))["events"] == 5
            done = write(job, run, TransactionalProducer(settings, transactional_id(run)))

    assert done.events == 0
    assert rig.ids(LOG, source) == {event_id(number): 1 for number in range(10)}


# -------------------------------------------------------------------------------- bad input


@pytest.fixture(scope="module")
def mistaken(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """A cluster with something in the inbound topic."""
    make_topics(kafka)
    subject = Rig(kafka, tmp_path_factory.mktemp("mistaken"))
    subject.send([reading(0, new_source())])
    return subject


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "range_missing"),
        (("--since", "yesterday"), 2, "time_invalid"),
        (("--since", "1h", "--from", "cim.i7.inbound/0@0"), 2, "range_twice"),
        (("--from", "cim.i7.inbound/0@999999999"), 2, "offset_past_end"),
        (("--from", "cim.i7.inbound/99@0"), 2, "place_foreign"),
        (("--from", "cim.i9.inbound/0@0"), 2, "place_foreign"),
        (("--from", "cim.i7.meter-readings/0@0"), 2, "place_foreign"),
        (("--from", "nonsense/0@0"), 2, "topic_unknown"),
        (("--from", "cim.i7.inbound"), 2, "place_invalid"),
        (("--from", "i7.inbound/0@0", "--from", "cim.i7.inbound/0@1"), 2, "place_twice"),
        (("--since", "2100-01-01T00:00:00Z"), 1, "range_empty"),
        (("--since", "1h", "--until", "2h"), 1, "range_empty"),
        (("--since", "1h", "--id", "x"), 2, "into_missing"),
        (("--since", "1h", "--into", "log"), 2, "confirmation_missing"),
        (("--since", "1h", "--into", "side", "--yes", "--id", "a.b"), 2, "replay_id_invalid"),
        (("--since", "1h", "--into", "side", "--yes", "--id", "A"), 2, "replay_id_invalid"),
        (("--since", "1h", "--into", "elsewhere"), 2, "usage"),
    ],
)
def test_a_mistake_gets_one_message_and_changes_nothing(
    mistaken: Rig, arguments: tuple[str, ...], code: int, said: str
) -> None:
    before = mistaken.ends()
    done = cimstream(mistaken.kafka, "replay", "-i", "I7", *arguments)
    text = done.stderr.decode()
    assert (done.returncode, text.count("error:")) == (code, 1), text
    assert f"code: {said}" in text
    assert "fix:" in text
    assert done.stdout == b""
    assert mistaken.ends() == before


def test_an_interface_that_is_none_is_refused(rig: Rig) -> None:
    done = cimstream(rig.kafka, "replay", "-i", "I12", "--since", "1h")
    assert (done.returncode, done.stdout) == (2, b"")


def test_an_id_is_refused_for_another_range_or_destination(rig: Rig) -> None:
    source, replay_id = new_source(), new_id()
    rig.send([reading(0, source)])
    rig.process()
    written(rig.replay("--into", "side", "--id", replay_id, "--yes"))
    before = rig.ends()
    used = ("--id", replay_id, "--yes")
    for done in (
        rig.replay("--into", "log", *used),
        cimstream(rig.kafka, "replay", "-i", "I7", "--since", "7d", "--into", "side", *used),
        cimstream(rig.kafka, "replay", "-i", "I9", "--into", "side", *used),
    ):
        assert done.returncode == 2
        assert "code: replay_id_used" in done.stderr.decode()
    assert rig.ends() == before


def test_without_a_broker_there_is_one_message_that_says_how_to_get_one() -> None:
    done = cimstream("127.0.0.1:1", "replay", "-i", "I7", "--since", "1h")
    assert done.returncode == 69
    assert "cimstream broker up" in done.stderr.decode()


def test_the_example_of_the_help_works(rig: Rig) -> None:
    rig.send([reading(0, new_source())])
    rig.process()
    (arguments,) = examples(("replay",))
    assert cimstream(rig.kafka, *arguments).returncode in (0, 3)
    assert shlex.join(arguments).startswith("replay --interface I7")
