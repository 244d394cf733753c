"""The Avro schema files, made from the profiles: `python -m schemas.profiles.generate`.

With `--check` nothing is written; the exit status is 1 where a file is not what follows from its
profile, or a schema cannot read what its predecessor has written.

A schema that ids.toml marks as `released` is never changed: the changed one gets the next id, and
the old file stays under a name with its id.

Must not live here: what follows from a profile (see `derive`).
"""

from __future__ import annotations

import json
import sys
import tomllib
from itertools import pairwise
from typing import Any, Final

from schemas.avro import fingerprint
from schemas.avro.compatibility import refusals
from schemas.avro.registry import FOLDER
from schemas.profiles import declared, declared_names

_IDS: Final = "ids.toml"
_HEAD: Final = """\
# The stable ids of the Avro schemas. An id means one schema for ever: what is `released` is never
# changed. `make schemas` keeps this file: it gives ids to new schemas and to changed ones that are
# released. sha256 is schemas.avro.fingerprint of the file: all but `doc`, as canonical JSON.
"""

Entry = dict[str, Any]


def main() -> int:
    """Write or check every file."""
    check = sys.argv[1:] == ["--check"]
    found = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.avsc")}
    found[_IDS] = (FOLDER / _IDS).read_text(encoding="utf-8")
    made = dict(found)
    entries: list[Entry] = tomllib.loads(found[_IDS])["schema"]
    for name in declared_names():
        _make(declared(name).avro(), name.replace("_", "-"), entries, made)
    made[_IDS] = _HEAD + "".join(map(_table, sorted(entries, key=lambda entry: int(entry["id"]))))
    stale = [name for name, text in made.items() if found.get(name) != text]
    wrong = _incompatible(entries, made)
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    if check and stale:
        sys.stderr.write(f"not made from the profiles: {', '.join(stale)}; run `make schemas`\n")
    if not check and not wrong:
        for name in stale:
            (FOLDER / name).write_text(made[name], encoding="utf-8")
    return 1 if wrong or (check and stale) else 0


def _make(schema: Entry, stem: str, entries: list[Entry], files: dict[str, str]) -> None:
    """Put one schema among the files and its id among the entries."""
    file, digest = f"{stem}.avsc", fingerprint(schema)
    entry = next((e for e in entries if e["file"] == file), None)
    if entry is not None and entry["sha256"] != digest and entry.get("released"):
        entry["file"] = f"{stem}.{entry['id']}.avsc"
        files[entry["file"]] = files[file]
        entry = None
    if entry is None:
        entry = {"name": schema["name"], "id": max(int(e["id"]) for e in entries) + 1, "file": file}
        entries.append(entry)
    entry["sha256"] = digest
    files[file] = layout(schema)


def _incompatible(entries: list[Entry], files: dict[str, str]) -> list[str]:
    """What the versions of each schema cannot read of the version before."""
    versions: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: int(entry["id"])):
        versions.setdefault(entry["name"], []).append(entry)
    return [
        f"schema {name}, id {new['id']} cannot read id {old['id']}: {why}"
        for name, known in versions.items()
        for old, new in pairwise(known)
        for why in refusals(json.loads(files[new["file"]]), json.loads(files[old["file"]]))
    ]


def layout(schema: Entry) -> str:
    """The text of a schema file: one line per field, so that a change is one line."""
    head = {key: value for key, value in schema.items() if key != "fields"}
    fields = ",\n  ".join(json.dumps(field, ensure_ascii=False) for field in schema["fields"])
    opened = json.dumps(head, ensure_ascii=False).removesuffix("}")
    return f'{opened}, "fields": [\n  {fields}\n]}}\n'


def _table(entry: Entry) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
    return "\n[[schema]]\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
