"""The destinations file: what it takes, and that no half of it is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.destinations import Destination, DestinationsFileError, load_destinations
from topics import load_catalogue
from topics.errors import EXIT_CONFIG

CATALOGUE = load_catalogue()
REST = '[destinations.CREW]\nkind = "rest"\nurl = "http://crew"\n'


def loaded(folder: Path, text: str) -> Destination:
    file = folder / "destinations.toml"
    file.write_text(text, encoding="utf-8")
    return load_destinations(file, CATALOGUE)["CREW"]


def test_a_destination_has_what_the_file_says_and_defaults(tmp_path: Path) -> None:
    found = loaded(tmp_path, REST + "timeout_s = 3\n")
    assert (found.kind, found.timeout_s, found.in_flight_max) == ("rest", 3, 4)
    assert found.credential() == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[destinations", "TOML"),
        ("[destination.CREW]\n", "destination"),
        (REST + "timeout = 3\n", "destinations.CREW.timeout"),
        (REST + "timeout_s = 0\n", "timeout_s"),
        (REST + 'contexts = ["LUNCH"]\n', "LUNCH"),
        (REST + 'credential_file = "/nowhere/key"\n', "/nowhere/key"),
        (REST + 'certificate_file = "/nowhere/c.pem"\n', "go together"),
        (REST + "retry_first_s = 500\n", "retry_max_s"),
        ('[destinations.CREW]\nkind = "rest"\n', "url"),
        ('[destinations.CREW]\nkind = "soap"\nurl = "ftp://x"\n', "url"),
        ('[destinations.CREW]\nkind = "pull"\nurl = "http://crew"\n', "pulls"),
        ('[destinations.CREW]\nkind = "pigeon"\n', "kind"),
    ],
)
def test_a_mistake_is_named_and_nothing_of_the_file_is_used(
    tmp_path: Path, text: str, why: str
) -> None:
    with pytest.raises(DestinationsFileError) as refused:
        loaded(tmp_path, text)
    assert why in str(refused.value.why) + str(refused.value.fix)
    assert refused.value.exit_code == EXIT_CONFIG


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DestinationsFileError):
        load_destinations(tmp_path / "nothing.toml", CATALOGUE)
