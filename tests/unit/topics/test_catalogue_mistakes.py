"""A catalogue with a mistake is refused with file, key and reason."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

import pytest

from topics import CatalogueError, load_catalogue
from topics.errors import EXIT_CONFIG

I7 = "i07-meter-reading-and-control.toml"
I9 = "i09-scada.toml"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped catalogue, to break."""
    with as_file(files("topics.catalogue")) as shipped:
        for file in shipped.glob("*.toml"):
            shutil.copy(file, tmp_path)
    return tmp_path


def replace(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    assert old in text, "the test breaks nothing"
    (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")


def refused(folder: Path) -> CatalogueError:
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(folder)
    return caught.value


def test_the_copy_itself_is_a_good_catalogue(folder: Path) -> None:
    assert load_catalogue(folder).topics() == load_catalogue().topics()


def test_nouns_that_have_no_home_need_not_be_listed(folder: Path) -> None:
    text = (folder / "catalogue.toml").read_text(encoding="utf-8")
    general, _, _ = text.partition("[elsewhere]")
    (folder / "catalogue.toml").write_text(general, encoding="utf-8")
    assert load_catalogue(folder).instead("WorkRequest") == ""


# file, what stands there, what is put instead, the key named, a part of the reason
MISTAKES = {
    "a noun that has no home and has one": (
        "catalogue.toml", "WorkRequest = ", "WorkOrder = ", "elsewhere.WorkOrder", "has a home",
    ),
    "a noun elsewhere that is none": (
        "catalogue.toml",
        'WorkRequest = ["WorkOrders"]',
        'WorkRequest = ["WorkOders"]',
        "elsewhere.WorkRequest",
        "did you mean WorkOrders",
    ),
    "unknown key": (
        I7, "inbound = 6", "inbuond = 6", "interface.partitions.inbuond", "did you mean inbound",
    ),
    "missing key": (I7, 'title = "Meter reading and control"', "", "interface.title", "is missing"),
    "text for a number": (
        I7, "inbound = 6", 'inbound = "6"', "interface.partitions.inbound", "found '6'",
    ),
    "no term of the glossary": (
        I7, '"last gasp"', '"last gasps"', "noun.EndDeviceEvents.glossary",
        "did you mean last gasp",
    ),
    "true is no number": (
        I7, "inbound = 6", "inbound = true", "interface.partitions.inbound", "whole number",
    ),
    "number for a text": (I7, 'abbreviation = "MR"', "abbreviation = 7", "interface.abbreviation",
                          "expected a text"),
    "no partitions": (
        I7, "inbound = 6", "inbound = 0", "interface.partitions.inbound", "between 1 and 512",
    ),
    "partitions by a slip": (
        I7, "outbound = 2", "outbound = 2000", "interface.partitions.outbound", "between 1 and",
    ),
    "unknown interface": (I7, 'id = "I7"', 'id = "I12"', "interface.id", "'I12' is not known"),
    "interface twice": (I9, 'id = "I9"', 'id = "I7"', "interface.id", "describes I7 already"),
    "one alias of two nouns": (
        "i04-maintenance-and-construction.toml", '"MaintenanceOrders"', '"PubOutages"',
        "noun.WorkOrders.aliases", "means Outages already",
    ),
    "an alias that is a noun": (
        "i04-maintenance-and-construction.toml", '"MaintenanceOrders"', '"Outages"',
        "noun.WorkOrders.aliases", "means Outages already",
    ),
    "two homes": (I9, "[noun.TimeSeries]", "[noun.MeterReadings]", "noun.MeterReadings",
                  "two homes, I7 and I9"),
    "unknown sender": (I7, "I8 = [", "I88 = [", "noun.EndDeviceControls.senders.I88",
                       "no such interface"),
    "unknown verb": (I7, 'verbs = ["created", "create", "get"]', 'verbs = ["created", "observe"]',
                     "noun.EndDeviceEvents.verbs", "'observe' is not known"),
    "verb that the noun has not": (
        I7, 'I7 = ["created", "create", "get"]', 'I7 = ["created", "create", "delete"]',
        "noun.EndDeviceEvents.senders.I7", "'delete' is not known",
    ),
    "verb that nobody sends": (
        I7, 'I7 = ["created", "create", "get"]', 'I7 = ["created", "get"]',
        "noun.EndDeviceEvents.senders", "may send it with create",
    ),
    "verb now and later": (
        I7, 'planned_verbs = ["reply"]', 'planned_verbs = ["create"]',
        "noun.EndDeviceControls.planned_verbs", "both lists",
    ),
    "verb twice": (I7, 'verbs = ["created", "create", "get"]', 'verbs = ["created", "created"]',
                   "noun.EndDeviceEvents.verbs", "twice"),
    "neither history nor register": (
        I7, 'kind = "history"', 'kind = "diary"', "noun.MeterReadings.kind", "'diary'",
    ),
    "unknown pattern": (
        I7, 'patterns = ["request', 'patterns = ["reqest', "noun.MeterReadings.patterns",
        "did you mean request-response",
    ),
    "schema that does not exist": (
        I7, 'schema = "MeterReadingSeries"', 'schema = "MeterReadingTable"',
        "noun.MeterReadings.schema", "MeterReadingTable",
    ),
    "live noun without schema": (I7, 'schema = "MeterReadingSeries"', "",
                                 "noun.MeterReadings.schema", "is missing"),
    "planned noun with schema": (
        I7, 'profile = "meter_readings"', 'profile = "planned"', "noun.MeterReadings.schema",
        "planned noun",
    ),
    "name that no topic can have": (
        I7, "[noun.MeterConfig]", '[noun."Meter Config"]', "noun.Meter Config", "a noun is a word",
    ),
    "namespaces left out": (
        I7, 'namespaces = ["http://iec.ch/TC57/2011/MeterReadings#"]', "namespaces = []",
        "noun.MeterReadings.namespaces", "empty",
    ),
    "inbound kept too short": (
        "catalogue.toml", "inbound = 30", "inbound = 6", "retention_days.inbound",
        "dedup horizon of 7",
    ),
    "no horizon": (
        "catalogue.toml", "dedup_horizon_days = 7", "dedup_horizon_days = 0",
        "dedup_horizon_days", "between 1 and",
    ),
    "retention without end": (
        "catalogue.toml", "audit = 3_650", "audit = -1", "retention_days.audit", "between 1 and",
    ),
    "production is not parallel": (
        "catalogue.toml", '"TRAINING"', '"PRODUCTION"', "contexts", "not a parallel context",
    ),
    "context in small letters": (
        "catalogue.toml", '"TRAINING"', '"training"', "contexts", "capitals only",
    ),
    "message larger than a request": (
        "catalogue.toml", "message_bytes_max = 8_388_608", "message_bytes_max = 838_860_800",
        "message_bytes_max", "between",
    ),
    "pattern of an unknown noun": (
        "patterns.toml", 'noun = "Outages"', 'noun = "Outage"', "pattern[6].noun",
        "did you mean Outages",
    ),
    "pattern without replies": (
        "patterns.toml", "replies = false", "", "pattern[0].replies", "is missing",
    ),
    "ack by another word": (
        "patterns.toml", 'ack_required = "absent"', 'ack_required = "none"',
        "pattern[9].ack_required", "absent",
    ),
    "row that hides those below": (
        "patterns.toml", 'kind = ["response", "fault"]', "", "pattern[0]", "no row after",
    ),
    "pattern that no row leads to": (
        "patterns.toml", 'pattern = "send-receive"', 'pattern = "request-response"', "pattern",
        "no row leads to send-receive",
    ),
    "not TOML": (I9, "[interface]", "[interface", "", "is not TOML"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_refused_with_file_key_and_reason(folder: Path, mistake: str) -> None:
    file, old, new, key, reason = MISTAKES[mistake]
    replace(folder, file, old, new)
    error = refused(folder)
    assert (error.file, error.key) == (file, key)
    assert reason in error.reason


def test_a_noun_with_the_name_of_a_standing_topic_is_refused(folder: Path) -> None:
    path = folder / I7
    path.write_text(path.read_text("utf-8").replace("noun.MeterConfig", "noun.Inbound"), "utf-8")
    assert "cim.i7.inbound; rename the noun Inbound" in refused(folder).reason


def test_the_last_pattern_must_fit_every_message(folder: Path) -> None:
    path = folder / "patterns.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text + 'kind = "event"\n', encoding="utf-8")
    assert "last row" in refused(folder).reason


def test_a_missing_interface_is_named(folder: Path) -> None:
    (folder / "i03-operational-planning.toml").unlink()
    assert "interface I3" in refused(folder).reason


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "patterns.toml").unlink()
    assert refused(folder).file == "patterns.toml"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "catalogue.toml" in str(refused(tmp_path / "nowhere"))


def test_a_file_that_is_not_text_is_named(folder: Path) -> None:
    (folder / I7).write_bytes(b"\xff\xfe")
    assert (refused(folder).file, refused(folder).reason) == (I7, "the file is not UTF-8")


def test_the_error_ends_a_command_with_the_code_for_wrong_configuration(folder: Path) -> None:
    (folder / I7).unlink()
    assert refused(folder).exit_code == EXIT_CONFIG
