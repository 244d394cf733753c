"""The reference pages say what the code says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.generate import FOLDER, PAGES, main, stale
from topics import load_catalogue


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The folder of the pages, to be changed."""
    return shutil.copytree(FOLDER, tmp_path / "reference")


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_reference_page_is_up_to_date(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "make docs"


def test_no_reference_page_is_left_over() -> None:
    written = {p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*") if p.is_file()}
    assert written == set(PAGES)


def test_the_check_names_what_is_changed_missing_and_left_over_and_mends_nothing(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = copy / "cli.md"
    page.write_text(page.read_text(encoding="utf-8") + "more\n", encoding="utf-8")
    (copy / "asyncapi.json").unlink()
    (copy / "nouns" / "i99.md").write_text("# Of a noun that was\n", encoding="utf-8")

    assert main(["--check"], copy) == 1

    assert ": asyncapi.json, cli.md, nouns/i99.md; run `make docs`" in capsys.readouterr().err
    assert set(stale(copy)) == {"asyncapi.json", "cli.md", "nouns/i99.md"}


def test_making_the_pages_mends_what_the_check_names(copy: Path) -> None:
    (copy / "asyncapi.json").unlink()
    (copy / "nouns" / "i99.md").write_text("# Of a noun that was\n", encoding="utf-8")

    assert main([], copy) == 0

    assert main(["--check"], copy) == 0
    assert not (copy / "nouns" / "i99.md").exists()


def test_lint_checks_the_pages() -> None:
    makefile = (FOLDER.parents[1] / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.partition("\nlint:")[2].partition("\n\n")[0]
    assert "-m tests.docs.generate --check" in recipe


def test_every_noun_with_a_profile_has_a_section_on_the_page_of_its_home() -> None:
    for noun in load_catalogue().nouns.values():
        if noun.profile is not None:
            text = (FOLDER / "nouns" / f"{noun.home.lower()}.md").read_text(encoding="utf-8")
            assert f"\n## {noun.name}\n" in text, noun.name
