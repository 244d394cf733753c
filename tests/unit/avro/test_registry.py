"""Stable ids: an id means one schema for ever."""

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from schemas.avro import SchemaFileError, fingerprint, registered
from schemas.avro.registry import FOLDER, by_id, load, newest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the schemas to damage."""
    for file in (*FOLDER.glob("*.avsc"), FOLDER / "ids.toml"):
        shutil.copy(file, tmp_path)
    return tmp_path


def edit(file: Path, change: Any) -> None:
    schema = json.loads(file.read_text(encoding="utf-8"))
    change(schema)
    file.write_text(json.dumps(schema), encoding="utf-8")


def test_every_schema_file_has_an_id_and_every_id_a_file() -> None:
    listed = tomllib.loads((FOLDER / "ids.toml").read_text(encoding="utf-8"))["schema"]
    assert {entry["file"] for entry in listed} == {file.name for file in FOLDER.glob("*.avsc")}


def test_the_ids_are_the_ones_that_were_released() -> None:
    assert {(schema.name, schema.id) for schema in registered()} >= {
        ("MeterReadingSeries", 1001),
        ("EndDeviceEvent", 1002),
    }


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s["fields"].pop(), id="a field less"),
        pytest.param(lambda s: s["fields"].reverse(), id="another order"),
        pytest.param(lambda s: s["fields"][-1].update(name="other"), id="another name"),
        pytest.param(lambda s: s["fields"][-1].update(default=False), id="another default"),
        pytest.param(
            lambda s: next(f for f in s["fields"] if f["name"] == "firstTimeStamp")["type"].update(
                logicalType="timestamp-micros"
            ),
            id="another unit",
        ),
    ],
)
def test_a_schema_edited_without_a_new_id_is_refused(folder: Path, change: Any) -> None:
    edit(folder / "meter-reading-series.avsc", change)
    with pytest.raises(SchemaFileError, match="fingerprint of id 1001"):
        load(folder)


def test_another_wording_of_a_doc_and_another_layout_need_no_new_id(folder: Path) -> None:
    edit(folder / "meter-reading-series.avsc", lambda s: s.update(doc="Other words."))
    assert [schema.id for schema in load(folder)] == [schema.id for schema in registered()]


def test_a_changed_schema_with_a_new_id_is_the_newest_and_the_old_one_still_decodes(
    folder: Path,
) -> None:
    old = folder / "end-device-event.avsc"
    shutil.copy(old, folder / "end-device-event.1002.avsc")
    note = {"name": "note", "type": "string", "default": "", "doc": "New."}
    edit(old, lambda schema: schema["fields"].append(note))
    ids = (folder / "ids.toml").read_text(encoding="utf-8")
    ids = ids.replace('"end-device-event.avsc"', '"end-device-event.1002.avsc"')
    new = fingerprint(json.loads(old.read_text(encoding="utf-8")))
    ids += (
        f'\n[[schema]]\nname = "EndDeviceEvent"\nid = 1999\nfile = "{old.name}"\nsha256 = "{new}"\n'
    )
    (folder / "ids.toml").write_text(ids, encoding="utf-8")
    assert [(s.name, s.id) for s in load(folder) if s.name == "EndDeviceEvent"] == [
        ("EndDeviceEvent", 1002),
        ("EndDeviceEvent", 1999),
    ]


def test_an_id_that_is_given_twice_is_refused(folder: Path) -> None:
    ids = (folder / "ids.toml").read_text(encoding="utf-8")
    (folder / "ids.toml").write_text(ids.replace("1002", "1001"), encoding="utf-8")
    with pytest.raises(SchemaFileError, match="1001 twice"):
        load(folder)


def test_an_entry_with_another_schemas_file_is_refused(folder: Path) -> None:
    ids = (folder / "ids.toml").read_text(encoding="utf-8")
    wrong = ids.replace('name = "EndDeviceEvent"', 'name = "Other"')
    (folder / "ids.toml").write_text(wrong, encoding="utf-8")
    with pytest.raises(SchemaFileError, match="not the schema Other"):
        load(folder)


def test_unknown_names_and_ids_are_key_errors() -> None:
    with pytest.raises(KeyError):
        newest("Nothing")
    with pytest.raises(KeyError):
        by_id(7)
