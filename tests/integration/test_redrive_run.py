"""What comes of redriven messages behind inbound: `cimstream run` judges them like any other."""

from __future__ import annotations

import shutil
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import topics
from schemas.profiles.model import ALONE_MAX
from streams.engine.kafka import KafkaSettings
from streams.engine.record import Record
from streams.runtime.headers import header
from streams.runtime.reading import Range, TopicReader
from tests.integration.data_rig import cimstream, committed, make_topics, message
from tests.integration.service import PATIENCE_S, killed_at_the_end
from tests.integration.test_run import Run

pytestmark = pytest.mark.integration

INBOUND, REJECTED, LOG = "cim.i7.inbound", "cim.i7.rejected", "cim.i7.meter-readings"


@pytest.fixture
def run(kafka: str, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """Starts `cimstream run`; whatever still runs at the end is killed."""
    make_topics(kafka)
    started: list[Run] = []

    def start(**variables: str) -> Run:
        started.append(Run(kafka, tmp_path / "state", "--interface", "I7", **variables))
        return started[-1]

    with killed_at_the_end(started):
        yield start


@pytest.fixture
def source() -> str:
    return f"HES-{uuid.uuid4().hex[:12]}"


def send(kafka: str, folder: Path, *contents: bytes) -> None:
    outbox = folder / uuid.uuid4().hex
    outbox.mkdir()
    for number, data in enumerate(contents):
        (outbox / f"{number}.xml").write_bytes(data)
    assert cimstream(kafka, "send", outbox, "-i", "I7").returncode == 0


def redrive(kafka: str, source: str, *arguments: str) -> None:
    done = cimstream(kafka, "dlq", "redrive", "--source", source, "--yes", *arguments)
    assert done.returncode == 0, done.stderr.decode()


def processed(kafka: str) -> None:
    """Wait until intake has committed every message of inbound; markers have offsets, too."""
    deadline = time.monotonic() + PATIENCE_S
    with TopicReader(KafkaSettings(kafka)) as reader:
        bounds = reader.bounds(reader.topics()[INBOUND])
        while True:
            done = reader.group_offsets("intake", bounds)
            open_ = {at: Range(done.get(at, span.start), span.end) for at, span in bounds.items()}
            if next(reader.records(open_), None) is None:
                return
            assert time.monotonic() < deadline
            time.sleep(0.2)


def of(kafka: str, topic: str, source: str) -> list[Record]:
    return [one for one in committed(kafka, topic) if header(one, "ce_source") == source]


def codes(kafka: str, source: str) -> Counter[str]:
    return Counter(header(one, "cimstream_code") for one in of(kafka, REJECTED, source))


def before_the_release(folder: Path) -> str:
    """A catalogue in which meter readings are planned, as they were before they were live."""
    shutil.copytree(Path(topics.__file__).parent / "catalogue", folder,
                    ignore=shutil.ignore_patterns("*.py", "__pycache__"))  # fmt: skip
    file = folder / "i07-meter-reading-and-control.toml"
    text = file.read_text(encoding="utf-8").replace('"meter_readings"', '"planned"')
    file.write_text(text.replace('schema = "MeterReadingSeries"\n', ""), encoding="utf-8")
    return str(folder)


def test_messages_rejected_before_a_release_take_effect_once_after_it(
    run: Callable[..., Run], kafka: str, tmp_path: Path, source: str
) -> None:
    """Goal: what a redrive lets in has one effect, also where the sender was faster.

    Method: twenty messages are rejected, two of them twice. After the release the sender sends
    one again as it was and one with other content under its ID; then all are redriven, twice.
    """
    contents = [message(f"m-{number}", source=source) for number in range(20)]
    corrected = contents[1].replace(b"<value>1.5<", b"<value>2.5<")
    old = run(CIMSTREAM__CATALOGUE=before_the_release(tmp_path / "catalogue"))
    send(kafka, tmp_path, *contents, *contents[:2])
    processed(kafka)
    assert old.end() == 0
    assert codes(kafka, source) == {"noun_planned": 22}
    assert of(kafka, LOG, source) == []

    new = run()
    send(kafka, tmp_path, contents[0], corrected)
    processed(kafka)
    redrive(kafka, source)
    processed(kafka)
    redrive(kafka, source, "--again", "--code", "noun_planned")
    processed(kafka)
    assert new.end() == 0

    effects = Counter(header(one, "ce_messageid") for one in of(kafka, LOG, source))
    assert effects == {f"m-{number}": 1 for number in range(20)}
    conflicts = codes(kafka, source)["identity_conflict"]
    assert conflicts == 4, "the correction stands; the old message is rejected, twice each time"
    newest = of(kafka, REJECTED, source)[-1]
    assert header(newest, "cimstream_redrivenfrom").startswith(f"{REJECTED}/")


def test_a_redriven_object_takes_effect_beside_those_of_its_message(
    run: Callable[..., Run], kafka: str, tmp_path: Path, source: str
) -> None:
    """A bad object is a message of its own in `rejected`; while it is bad it is rejected again."""
    data = message("m-1", source=source)
    start, end = data.index(b"<MeterReading>"), data.index(b"</MeterReadings>")
    bad = data[start:end].replace(b"<mRID>0000aaaa-1111-4222-8333-44445555bbbb</mRID>", b"")
    subject = run()
    send(kafka, tmp_path, data[:end] + bad + data[end:])
    processed(kafka)
    assert codes(kafka, source) == {"meter_missing": 1}

    redrive(kafka, source)
    processed(kafka)
    assert subject.end() == 0

    assert codes(kafka, source) == {"meter_missing": 2}
    assert [header(one, "ce_messageid") for one in of(kafka, LOG, source)] == ["m-1"]


def test_objects_that_were_rejected_together_are_shown_corrected_and_redriven_like_any_message(
    run: Callable[..., Run], kafka: str, tmp_path: Path, source: str
) -> None:
    """Goal: of very many bad objects none is lost, and each is a message once it is good.

    Method: what is rejected together is shown and redriven as it is, then sent corrected.
    """
    data = message("m-1", source=source)
    start, end = data.index(b"<MeterReading>"), data.index(b"</MeterReadings>")
    bad = data[start:end].replace(b"<value>1.5<", b"<value>x<")
    subject = run()
    send(kafka, tmp_path, data[:end] + bad * (ALONE_MAX + 2) + data[end:])
    processed(kafka)
    assert codes(kafka, source) == {"value_not_number": ALONE_MAX, "objects_rejected": 1}
    together = of(kafka, REJECTED, source)[-1]
    assert (together.value or b"").count(b"<MeterReading>") == 2

    shown = cimstream(kafka, "dlq", "show", str(together), "--payload")
    assert shown.stdout == together.value
    listed = cimstream(kafka, "dlq", "list", "--source", source, "--code", "objects_rejected")
    assert b"objects_rejected" in listed.stdout
    redrive(kafka, source, "--code", "objects_rejected")
    processed(kafka)
    assert codes(kafka, source) == {"value_not_number": ALONE_MAX + 2, "objects_rejected": 1}

    send(kafka, tmp_path, (together.value or b"").replace(b"<value>x<", b"<value>2.5<"))
    processed(kafka)
    assert subject.end() == 0
    effects = Counter(header(one, "ce_messageid") for one in of(kafka, LOG, source))
    assert effects == {"m-1": 1, f"m-1#{ALONE_MAX + 1}+": 2}
