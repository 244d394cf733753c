"""The reference pages say what the code says."""

from __future__ import annotations

import pytest

from tests.docs.generate import FOLDER, PAGES


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_reference_page_is_up_to_date(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name](), "make docs"


def test_no_reference_page_is_left_over() -> None:
    written = {path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.md")}
    assert written == set(PAGES)
