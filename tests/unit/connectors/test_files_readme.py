"""The connector's README says of its settings what the model says."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic_core import PydanticUndefined

import connectors.files
from connectors.files.config import FilesConfig

README = Path(str(connectors.files.__file__)).with_name("README.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (`\w+`) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", re.MULTILINE)
ROWS = {
    cells[0].strip().strip("`"): [cell.strip() for cell in cells[1:]]
    for cells in re.findall(
        r"^\| (`\w+`) \| (.*?) \| (.*?) \| (.*?) \| (.*?) \|$", README, re.MULTILINE
    )
}


def test_every_setting_has_a_row_and_every_row_is_a_setting() -> None:
    assert ROWS.keys() == FilesConfig.model_fields.keys()


def test_every_default_is_the_one_that_holds() -> None:
    for name, field in FilesConfig.model_fields.items():
        said = ROWS[name][1].strip("`")
        if field.default is PydanticUndefined:
            assert said == "\u2013", name
        elif name == "done_folder":
            assert FilesConfig(folder=Path("in"), interface="I7").done == Path("in/.done")
            assert said.startswith(".done")
        elif name == "batch_bytes_max":
            assert (said, field.default) == ("16 MiB", 16 * 1024 * 1024)
        else:
            assert said == str(field.default), name
