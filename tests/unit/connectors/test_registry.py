"""Finding connectors and making sources of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.api import SourceConfigError
from connectors.registry import Manifest, make_source, manifests
from topics import Catalogue, load_catalogue


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def test_every_folder_with_a_manifest_is_a_connector_with_a_readme() -> None:
    import connectors

    root = Path(str(connectors.__file__)).parent
    folders = {path.name for path in root.iterdir() if (path / "__init__.py").is_file()}
    assert manifests().keys() == folders
    for folder in folders:
        assert (root / folder / "README.md").is_file()


def test_a_manifest_says_all_it_should_and_in_the_right_form() -> None:
    for manifest in manifests().values():
        for name in Manifest.__slots__:
            if name == "source":  # a door is served by a command of its own
                continue
            value = getattr(manifest, name)
            assert value or value is False, name
        assert isinstance(manifest.directions, tuple)
        assert isinstance(manifest.replayable, bool)


def test_a_source_is_made_from_plain_settings(catalogue: Catalogue, tmp_path: Path) -> None:
    source = make_source("files", "hes-1", {"folder": str(tmp_path), "interface": "I7"}, catalogue)
    assert source.name == "hes-1"
    source.check()


def test_an_unknown_connector_is_named_with_those_there_are(catalogue: Catalogue) -> None:
    with pytest.raises(SourceConfigError, match="'fils'") as error:
        make_source("fils", "hes-1", {}, catalogue)
    assert "files" in error.value.fix


def test_a_door_is_no_source(catalogue: Catalogue) -> None:
    with pytest.raises(SourceConfigError, match="'rest'"):
        make_source("rest", "hes-1", {}, catalogue)


@pytest.mark.parametrize("name", ["", "a/b", "HES", "-a", "ü", "a" * 65, "a b"])
def test_a_name_that_could_not_be_part_of_a_key_is_refused(catalogue: Catalogue, name: str) -> None:
    with pytest.raises(SourceConfigError):
        make_source("files", name, {"folder": ".", "interface": "I7"}, catalogue)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"interface": "I7"}, "folder"),
        ({"folder": ".", "interface": "I12"}, "interface"),
        ({"folder": ".", "interface": "I7", "settle": 3}, "settle"),
        ({"folder": ".", "interface": "I7", "settle_s": -1}, "settle_s"),
        ({"folder": ".", "interface": "I7", "settle_s": "1"}, "settle_s"),
        ({"folder": ".", "interface": "I7", "after": "shred"}, "after"),
        ({"folder": "in", "interface": "I7", "done_folder": "in/done"}, "dot"),
    ],
)
def test_wrong_settings_are_refused_by_name(
    catalogue: Catalogue, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(SourceConfigError, match=said):
        make_source("files", "hes-1", settings, catalogue)
