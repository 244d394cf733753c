"""The access file while the gateway runs."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from connectors.access import Access, AccessFileError, Credentials, Gatekeeper, key_hash, new_key
from schemas.errors import MessageError
from streams.runtime.gateway.admission import Admission
from streams.runtime.metrics import REGISTRY
from topics import load_catalogue
from topics.errors import OperatorError

CATALOGUE = load_catalogue()
OLD, NEW = new_key(), new_key()


def text(*keys: str, rate: float = 0, more: str = "") -> str:
    hashes = ", ".join(f'"{key_hash(key)}"' for key in keys)
    return f"[sources.HES-1]\nkeys = [{hashes}]\nrequests_per_s = {rate}\n{more}"


def check(access: Access) -> None:
    """As a door whose files are not there."""
    if "HES-3" in access.sources:
        raise OperatorError("credential_file_invalid", what="no such file")


def write(file: Path, content: str) -> None:
    """As an editor or an orchestrator does: another file in its place."""
    draft = file.with_suffix(".new")
    draft.write_text(content, encoding="utf-8")
    os.replace(draft, file)  # noqa: PTH105 - the same inode would do, too


def knows(gatekeeper: Gatekeeper, key: str) -> bool:
    try:
        return asyncio.run(gatekeeper.identify(Credentials(key=key))).source == "HES-1"
    except MessageError:
        return False


def valid() -> float | None:
    return REGISTRY.get_sample_value("cimstream_gateway_access_file_valid")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "access.toml"
    write(made, text(OLD))
    return made


def test_a_key_is_replaced_while_the_gateway_runs(file: Path) -> None:
    admission = Admission(file, CATALOGUE, check)
    write(file, text(OLD, NEW))
    asyncio.run(admission.tend())
    assert (knows(admission.gatekeeper, OLD), knows(admission.gatekeeper, NEW)) == (True, True)
    write(file, text(NEW))
    asyncio.run(admission.tend())
    assert (knows(admission.gatekeeper, OLD), knows(admission.gatekeeper, NEW)) == (False, True)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param("[sources", id="no TOML"),
        pytest.param(text(NEW) + "[sources.HES-2]\nkeys = ['x']\n", id="half of it wrong"),
        pytest.param(text(NEW, more='tokens = { corp = ["a"] }\n'), id="a foreign issuer"),
        pytest.param(text(NEW) + "[sources.HES-3]\n", id="what a door cannot work by"),
        pytest.param(None, id="gone"),
    ],
)  # fmt: skip
def test_a_file_with_a_mistake_changes_nothing_and_is_told_of_once(
    file: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("cimstream").propagate = True
    admission = Admission(file, CATALOGUE, check)
    if broken is None:
        file.unlink()
    else:
        write(file, broken)
    for _ in range(3):
        asyncio.run(admission.tend())
    assert (knows(admission.gatekeeper, OLD), knows(admission.gatekeeper, NEW)) == (True, False)
    # Each once, however many handlers others have left behind.
    told = {id(r) for r in caplog.records if r.getMessage().startswith("access file refused")}
    assert len(told) == 1
    assert valid() == 0
    write(file, text(NEW))
    asyncio.run(admission.tend())
    assert (knows(admission.gatekeeper, OLD), knows(admission.gatekeeper, NEW)) == (False, True)
    assert valid() == 1


def test_without_a_good_file_no_gateway_begins(file: Path) -> None:
    write(file, "[sources")
    with pytest.raises(AccessFileError):
        Admission(file, CATALOGUE, check)


def test_a_source_gets_no_new_second_by_a_change_of_the_file(file: Path) -> None:
    write(file, text(OLD, rate=0.001))
    admission = Admission(file, CATALOGUE, check)
    principal = admission.gatekeeper.authenticate(OLD)
    assert admission.gatekeeper.wait_s(principal) == 0
    write(file, text(OLD, NEW, rate=0.001))
    asyncio.run(admission.tend())
    assert admission.gatekeeper.wait_s(principal) > 0
    write(file, text(OLD, NEW, rate=5))
    asyncio.run(admission.tend())
    assert admission.gatekeeper.wait_s(principal) == 0
