"""Looking at topics with the command line: decoded, masked, committed only, exactly counted."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from schemas.avro import encode_body, encode_provenance, frame
from streams.engine.kafka import KafkaSettings, TransactionalProducer
from streams.engine.record import Output
from tests.integration.data_rig import (
    COMMAND,
    Done,
    cimstream,
    environment,
    fill,
    lines,
    make_topics,
    message,
)

pytestmark = pytest.mark.integration

# A context and interfaces that no other test uses, so that what is here is from here.
EVENTS = "cim.study.i7.end-device-events"
COUNTERS = "cim.intake.counters-i9.changelog"
MRID = "0000aaaa-1111-4222-8333-44445555bbbb"
JSON = ("-o", "json")


@pytest.fixture(scope="module")
def cluster(kafka: str) -> str:
    make_topics(kafka)
    return kafka


def event_value(mrid: str, reason: str) -> bytes:
    """An EndDeviceEvent as intake writes it."""
    meter = {
        "mRID": mrid,
        "serialNumber": "SN-1234567890",
        "names": [{"name": "Elm Street 17, flat 4", "type": "address", "authority": "utility"}],
    }
    record = {
        "mRID": mrid,
        "createdDateTime": 1_767_225_600_000,
        "reason": reason,
        "severity": "high",
        "userID": "j.smith@example.org",
        "endDeviceEventType": "3.26.0.85",
        "endDeviceEventDetails": [{"name": "phase", "value": "L1 of Elm Street 17"}],
        "endDeviceEventTypeFields": [3, 26, 0, 85],
        "meter": meter,
    }
    provenance = encode_provenance("cim.i7.inbound", 1, 2, "m-1", "HES-1", 0)
    return frame("EndDeviceEvent") + provenance + encode_body("EndDeviceEvent", record)


def write(cluster: str, *outputs: Output, abort: bool = False) -> None:
    """Produce in one transaction, as intake does."""
    producer = TransactionalProducer(KafkaSettings(cluster), f"test-{uuid.uuid4()}")
    producer.reset()
    producer.begin()
    for output in outputs:
        producer.produce(output)
    if abort:
        producer.abort()
    else:
        producer.commit()
    producer.close()


def write_events(cluster: str, *reasons: str, abort: bool = False) -> None:
    headers = (("ce_id", b"m-1#0"), ("ce_noun", b"EndDeviceEvents"), ("ce_verb", b"created"))
    outputs = [Output(EVENTS, MRID.encode(), event_value(MRID, r), headers) for r in reasons]
    write(cluster, *outputs, abort=abort)


def reasons_of(done: Done) -> list[str]:
    return [line["event"]["reason"] for line in lines(done)]  # type: ignore[index]


def unique(count: int) -> list[str]:
    run = uuid.uuid4().hex
    return [f"{run}-{number}" for number in range(count)]


# ---------------------------------------------------------------------------------- tail


def test_tail_shows_the_newest_committed_records_decoded(cluster: str) -> None:
    wanted = unique(5)
    write_events(cluster, *wanted[:3])
    write_events(cluster, "aborted", abort=True)
    for reason in wanted[3:]:
        write_events(cluster, reason)
    short = cimstream(cluster, "tail", "study.i7.end-device-events", "-n", "4", *JSON)
    assert reasons_of(short) == wanted[1:]
    every = reasons_of(cimstream(cluster, "tail", EVENTS, "--from-beginning", *JSON))
    assert every[-5:] == wanted
    assert "aborted" not in every
    assert cimstream(cluster, "tail", EVENTS, "-n", "0").stdout == b""


def test_tail_masks_whom_the_data_are_about_unless_told_otherwise(cluster: str) -> None:
    (reason,) = unique(1)
    write_events(cluster, reason)
    secrets = (MRID, "SN-1234567890", "Elm Street", "j.smith")
    for form in ("json", "table"):
        text = cimstream(cluster, "tail", EVENTS, "-n", "1", "-o", form).stdout.decode()
        assert "0000…bbbb" in text
        assert not [secret for secret in secrets if secret in text]
    text = cimstream(cluster, "tail", EVENTS, "-n", "1", "--unmask", *JSON).stdout.decode()
    assert all(secret in text for secret in secrets)
    assert reason in text
    assert '"endDeviceEventType":"3.26.0.85"' in text


def test_tail_shows_a_message_by_its_header_and_the_payload_only_when_asked(cluster: str) -> None:
    lines(cimstream(cluster, "send", "-", "-i", "I11", *JSON, stdin=message("tail-1")))
    plain = cimstream(cluster, "tail", "i11.inbound", "-n", "1").stdout.decode()
    assert "create MeterReadings" in plain
    assert "HES-1|MeterReadings|tail-1" in plain
    assert "RequestMessage" not in plain
    shown = cimstream(cluster, "tail", "i11.inbound", "-n", "1", "--payload").stdout.decode()
    assert "<RequestMessage" in shown
    assert MRID not in shown
    assert "0000…bbbb" in shown
    bare = cimstream(cluster, "tail", "i11.inbound", "-n", "1", "--payload", "--unmask", *JSON)
    assert lines(bare)[0]["payload"] == message("tail-1").decode()


def test_tail_never_shows_a_payload_it_cannot_mask(cluster: str) -> None:
    data = b"not XML but about Elm Street 17 " + uuid.uuid4().bytes
    lines(cimstream(cluster, "send", "-", "-i", "I11", *JSON, stdin=data))
    shown = cimstream(cluster, "tail", "i11.inbound", "-n", "1", "--payload").stdout.decode()
    assert "not readable as XML" in shown
    assert "Elm Street" not in shown


def test_tail_follows_until_it_is_interrupted(cluster: str) -> None:
    before, after = unique(1), unique(2)
    write_events(cluster, *before)
    with subprocess.Popen(
        [*COMMAND, "tail", EVENTS, "-f", "-n", "1", "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(cluster),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        seen = [json.loads(process.stdout.readline())]
        for reason in after:
            write_events(cluster, reason)
            seen.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
    assert [line["event"]["reason"] for line in seen] == before + after
    assert process.returncode == 0


def test_tail_ends_quietly_when_its_reader_does(cluster: str, tmp_path: Path) -> None:
    fill(tmp_path, 1500)
    lines(cimstream(cluster, "send", tmp_path, "-i", "I11", *JSON))
    with subprocess.Popen(
        [*COMMAND, "tail", "i11.inbound", "--from-beginning", "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(cluster),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


# --------------------------------------------------------------------------------- stats


def test_stats_sums_the_newest_total_of_every_partition(cluster: str) -> None:
    noun = f"Noun{uuid.uuid4().hex}"

    def total(name: str, code: str, number: int, partition: int) -> Output:
        key = f"{name}|I9|PRODUCTION|{noun}|{code}".encode()
        return Output(COUNTERS, key, number.to_bytes(8, "big"), partition=partition)

    (before,) = lines(cimstream(cluster, "stats", "-i", "I9", *JSON))
    write(cluster, total("received", "", 10, 0), total("received", "", 5, 1))
    write(
        cluster,
        total("received", "", 12, 0),
        total("rejected", "xml_encoding", 2, 0),
        total("rejected", "xml_encoding", 1, 1),
        total("rejected", "header_missing", 4, 1),
    )
    write(cluster, total("received", "", 99, 0), abort=True)
    (found,) = lines(cimstream(cluster, "stats", "-i", "I9", *JSON))
    ours = [c for c in found["counters"] if c["noun"] == noun]  # type: ignore[attr-defined]
    assert {(c["name"], c["code"]): c["count"] for c in ours} == {
        ("received", ""): 17,
        ("rejected", "xml_encoding"): 3,
        ("rejected", "header_missing"): 4,
    }
    assert found["received"] - before["received"] == 17  # type: ignore[operator]
    assert found["rejected"] - before["rejected"] == 7  # type: ignore[operator]
    table = cimstream(cluster, "stats", "-i", "I9").stdout.decode()
    assert re.search(rf"I9 +{found['received']:,} +· +· +· +{found['rejected']:,}", table)
    assert "the message does not begin with a Header" in table


def lag_and_records(cluster: str) -> tuple[int, Mapping[str, int]]:
    (found,) = lines(cimstream(cluster, "stats", "-i", "I10", "--count", *JSON))
    return found["lag"], found["records"]  # type: ignore[return-value]


def test_stats_counts_records_and_what_intake_has_not_read_without_control_records(
    cluster: str,
) -> None:
    lag, records = lag_and_records(cluster)
    for _ in range(3):
        write(cluster, Output("cim.i10.inbound", b"k", message()))
    write(cluster, Output("cim.i10.inbound", b"k", message()), abort=True)
    now_lag, now_records = lag_and_records(cluster)
    assert now_lag - lag == 3
    assert now_records["cim.i10.inbound"] - records["cim.i10.inbound"] == 3


def test_stats_shows_every_interface_to_machines(cluster: str) -> None:
    found = lines(cimstream(cluster, "stats", *JSON))
    assert [line["interface"] for line in found] == [f"I{n}" for n in range(1, 12)]


# ----------------------------------------------------------------------------------- dlq


def rejections(cluster: str, *arguments: str) -> list[dict[str, object]]:
    return lines(cimstream(cluster, "dlq", "list", "-i", "I9", *JSON, *arguments))


def send_oversize(cluster: str, interface: str, context: str = "") -> str:
    """The place where it was rejected."""
    data = message(context=context).ljust(9_000_000)
    (receipt,) = lines(cimstream(cluster, "send", "-", "-i", interface, *JSON, stdin=data))
    return "{topic}/{partition}@{offset}".format(**receipt)


@pytest.fixture(scope="module")
def rejected(cluster: str) -> list[str]:
    """Places of three oversizes on I9."""
    return [send_oversize(cluster, "I9") for _ in range(3)]


def test_dlq_list_shows_what_was_rejected_and_where_and_why(
    cluster: str, rejected: list[str]
) -> None:
    found = rejections(cluster)[-3:]
    assert [one["place"] for one in found] == rejected
    first = found[0]
    assert (first["code"], first["source"], first["noun"], first["size"]) == (
        "message_too_large",
        "HES-1",
        "MeterReadings",
        9_000_000,
    )
    assert "9000000" in str(first["why"])
    table = cimstream(cluster, "dlq", "list", "-i", "I9").stdout.decode()
    assert all(place in table for place in rejected)
    assert "message_too_large" in table
    assert "HES-1, MeterReadings" in table


def test_dlq_list_shows_other_contexts_too(cluster: str) -> None:
    place = send_oversize(cluster, "I7", "TRAINING")
    assert place.startswith("cim.training.i7.rejected/")
    (newest,) = lines(cimstream(cluster, "dlq", "list", "-i", "I7", "--limit", "1", *JSON))
    assert newest["place"] == place


def test_dlq_list_filters(cluster: str, rejected: list[str]) -> None:
    assert [one["place"] for one in rejections(cluster, "--limit", "2")] == rejected[1:]
    code = ("--code", "message_too_large")
    assert [one["place"] for one in rejections(cluster, *code, "--limit", "2")] == rejected[1:]
    assert rejections(cluster, "--code", "xml_encoding") == []
    assert [one["place"] for one in rejections(cluster, "--since", "1h")][-3:] == rejected
    last = str(rejections(cluster)[-1]["time"])
    assert rejected[2] in [one["place"] for one in rejections(cluster, "--since", last)]
    assert rejections(cluster, "--since", "2100-01-01T00:00:00Z") == []
    empty = cimstream(cluster, "dlq", "list", "-i", "I9", "--code", "xml_encoding")
    assert empty.stdout.decode().strip() == "Nothing was rejected."


def test_dlq_show_explains_one_rejection_without_its_bytes(
    cluster: str, rejected: list[str]
) -> None:
    text = cimstream(cluster, "dlq", "show", rejected[0]).stdout.decode()
    for said in ("message_too_large", "limit is 8388608", "Split the content", "cim.MeterReadings"):
        assert said in text
    assert MRID not in text
    (found,) = lines(cimstream(cluster, "dlq", "show", rejected[0].removeprefix("cim."), *JSON))
    assert found["place"] == rejected[0]
    assert found["headers"]["cimstream_code"] == "message_too_large"  # type: ignore[index]
    assert MRID not in json.dumps(found)


def test_dlq_show_writes_the_original_bytes_and_nothing_else_when_asked(
    cluster: str, rejected: list[str]
) -> None:
    done = cimstream(cluster, "dlq", "show", rejected[0], "--payload")
    assert done.returncode == 0
    assert len(done.stdout) == 64 * 1024
    assert done.stdout.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<RequestMessage')


# ------------------------------------------------------------------------------ examples


@pytest.mark.parametrize(
    "command", [("send",), ("tail",), ("stats",), ("dlq", "list"), ("dlq", "show")]
)
def test_the_example_of_every_help_works(
    cluster: str, tmp_path: Path, rejected: list[str], command: tuple[str, ...]
) -> None:
    (tmp_path / "examples" / "i7").mkdir(parents=True)
    (tmp_path / "examples" / "i7" / "a.xml").write_bytes(message())
    text = " ".join(cimstream(cluster, *command, "--help").stdout.decode().split())
    found = re.search(r"Example: cimstream (.*?) [╭╰│]", text)
    assert found is not None
    arguments = shlex.split(found[1])
    # The one thing no help can know: a place that exists.
    arguments = [rejected[0] if "@" in word else word for word in arguments]
    assert arguments[: len(command)] == list(command)
    done = cimstream(cluster, *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
