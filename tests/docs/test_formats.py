"""What docs/formats.md says of the records is what they are."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.unit.intake.driver import Driver

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("section", "schema"),
    [
        ("MeterReadingSeries", "meter-reading-series.avsc"),
        ("EndDeviceEvent", "end-device-event.avsc"),
    ],
)
def test_every_field_of_a_schema_is_explained_in_its_order(section: str, schema: str) -> None:
    part = TEXT.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]*?) \|", part, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    fields = json.loads((ROOT / "schemas" / "avro" / schema).read_text(encoding="utf-8"))["fields"]
    assert named == [field["name"] for field in fields]


def test_every_header_that_intake_writes_is_explained() -> None:
    driver = Driver()
    for path in sorted((ROOT / "examples" / "i7").glob("*.xml")):
        driver.send(path.read_bytes())
    written = {name for output in driver.outputs for name, _ in output.headers}
    explained = set(re.findall(r"`([\w-]+)`", TEXT))
    assert {n for n in written if not n.startswith("__connect.errors.")} - explained == set()


@pytest.mark.integration
def test_the_reader_of_the_page_reads_a_log(
    kafka: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"docs.{uuid.uuid4()}"
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    (output,) = Driver().send((ROOT / "examples" / "i7" / "readings-day.xml").read_bytes())
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topic, output.value, output.key, headers=list(output.headers))
    assert producer.flush(30) == 0
    block = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert block
    text = block[1].replace("127.0.0.1:19092", kafka).replace("cim.i7.meter-readings", topic)
    text = text.replace('"a-reader"', f'"{topic}"')
    monkeypatch.chdir(ROOT)

    exec(compile(text, "docs/formats.md", "exec"), {})  # noqa: S102 - our own page

    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 24
    assert printed[0] == "2026-03-02T01:00:00+00:00 0.212"
    assert printed[10] == "2026-03-02T11:00:00+00:00 gap"
