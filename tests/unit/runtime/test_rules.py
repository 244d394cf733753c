"""When the folder of rules is read again, and what a mistake in it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.processors.rules import RuleFileError, RuleProcessor
from streams.runtime import metrics
from streams.runtime.rules import RuleFolder, RuleLoop
from tests.unit.rules.driver import CATALOGUE
from tests.unit.rules.test_rules import PLAIN


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Turning:
    """A worker that only turns."""

    ready = True
    turns = 0

    def start(self) -> None:
        pass

    def turn(self) -> None:
        self.turns += 1

    def stop(self) -> None:
        self.ready = False


@pytest.fixture
def clock() -> Clock:
    return Clock()


def write(folder: Path, text: str, name: str = "plain") -> None:
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")


def invalid() -> float:
    return metrics.REGISTRY.get_sample_value("cimstream_rules_folder_invalid") or 0.0


def test_a_folder_is_read_again_when_a_file_of_it_changed(tmp_path: Path, clock: Clock) -> None:
    folder = RuleFolder(tmp_path, CATALOGUE, clock)
    assert folder.rules == {}
    write(tmp_path, PLAIN)
    assert not folder.changed()  # not looked yet
    clock.now += 1
    assert folder.changed()
    assert list(map(str, folder.rules.values())) == ["plain@1"]
    clock.now += 1
    assert not folder.changed()
    write(tmp_path, PLAIN.replace("version = 1", "version = 2"))
    clock.now += 1
    assert folder.changed()
    assert folder.rules["plain"].version == 2
    (tmp_path / "plain.toml").unlink()
    clock.now += 1
    assert folder.changed()
    assert folder.rules == {}


@pytest.mark.parametrize(
    "text", ["version = ", PLAIN.replace("repair", "patrol"), PLAIN.replace("noun", "non")]
)
def test_a_mistake_leaves_the_rules_as_they_were_until_it_is_mended(
    tmp_path: Path, clock: Clock, text: str
) -> None:
    write(tmp_path, PLAIN)
    folder = RuleFolder(tmp_path, CATALOGUE, clock)
    before = folder.rules
    write(tmp_path, text)
    clock.now += 1
    assert not folder.changed()
    assert folder.rules is before
    assert invalid() == 1
    clock.now += 1
    assert not folder.changed()
    assert invalid() == 1
    write(tmp_path, PLAIN.replace("version = 1", "version = 3"))
    clock.now += 1
    assert folder.changed()
    assert invalid() == 0


def test_a_folder_that_goes_away_is_a_mistake_too(tmp_path: Path, clock: Clock) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    write(folder, PLAIN)
    rules = RuleFolder(folder, CATALOGUE, clock)
    folder.rename(tmp_path / "elsewhere")
    clock.now += 1
    assert not rules.changed()
    assert list(rules.rules) == ["plain"]
    assert invalid() == 1


def test_a_mistake_at_the_start_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "version = 1")
    with pytest.raises(RuleFileError):
        RuleFolder(tmp_path, CATALOGUE)


def test_the_next_turn_is_by_the_rules_that_were_read(tmp_path: Path, clock: Clock) -> None:
    folder = RuleFolder(tmp_path, CATALOGUE, clock)
    processor, worker = RuleProcessor(CATALOGUE, folder.rules), Turning()
    loop = RuleLoop(worker, processor, folder)
    loop.turn()
    assert processor.logs == set()
    write(tmp_path, PLAIN)
    clock.now += 1
    loop.turn()
    assert processor.logs == {"cim.i1.outages"}
    assert worker.turns == 2
    assert loop.ready
    loop.stop()
    assert not loop.ready
