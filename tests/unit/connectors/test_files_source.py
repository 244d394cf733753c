"""The folder source: each state of a file once, whatever happens between two polls."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from connectors.api import Batch, PeerUnavailableError, SourceConfigError
from connectors.files.config import After, FilesConfig
from connectors.files.source import FolderSource
from topics import Catalogue, load_catalogue

HOUR_NS = 3600 * 10**9


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


class Rig:
    """A folder, a source on it, and the positions as the runtime would commit them."""

    def __init__(self, folder: Path, catalogue: Catalogue, **settings: object) -> None:
        self.folder = folder
        self.config = FilesConfig.model_validate(
            {"folder": folder, "interface": "I7", "settle_s": 60.0, **settings}
        )
        self.catalogue = catalogue
        self.now_ns = 0
        self.monotonic_s = 0.0
        self.positions: dict[bytes, bytes] = {}
        self.sent: list[bytes] = []
        self.source = self.new_source()
        self.source.open({})

    def new_source(self) -> FolderSource:
        return FolderSource(
            "hes-1",
            self.config,
            self.catalogue,
            wall_ns=lambda: self.now_ns,
            monotonic=lambda: self.monotonic_s,
            trace=lambda: "",
        )

    def write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.now_ns = path.stat().st_ctime_ns + HOUR_NS

    def poll(self, records_max: int = 100) -> Batch | None:
        self.monotonic_s += 3600.0
        return self.source.poll(records_max, 1.0)

    def commit(self, batch: Batch) -> None:
        """What the runtime makes permanent in one transaction."""
        self.sent += [received.message.value for received in batch.records]
        for key, value in batch.positions.items():
            if value is None:
                self.positions.pop(key, None)
            else:
                self.positions[key] = value

    def turn(self) -> list[str]:
        """Poll, commit, confirm; the names of what was sent."""
        batch = self.poll()
        if batch is None:
            return []
        self.commit(batch)
        self.source.committed(batch)
        return [received.origin for received in batch.records]

    def crash(self) -> None:
        """A new process: nothing is left but what was committed."""
        self.source = self.new_source()
        self.source.open(self.positions)

    def names(self) -> set[str]:
        return {p.name for p in self.folder.rglob("*.xml")}


@pytest.fixture
def rig(tmp_path: Path, catalogue: Catalogue) -> Rig:
    return Rig(tmp_path, catalogue)


def test_each_file_is_sent_once_in_the_order_of_names(rig: Rig) -> None:
    for name in ("b.xml", "a.xml", "sub/c.xml"):
        rig.write(name, name.encode())
    assert rig.turn() == ["a.xml", "b.xml", "sub/c.xml"]
    assert rig.turn() == []
    assert rig.sent == [b"a.xml", b"b.xml", b"sub/c.xml"]


def test_a_position_is_readable_and_names_size_time_and_digest(rig: Rig) -> None:
    rig.write("a.xml", b"x")
    rig.turn()
    (key, value), *rest = rig.positions.items()
    assert (key, rest) == (b"a.xml", [])
    assert json.loads(value) == {
        "size": 1,
        "mtime_ns": (rig.folder / "a.xml").stat().st_mtime_ns,
        "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    }


def test_a_changed_file_is_a_new_message(rig: Rig) -> None:
    rig.write("a.xml", b"one")
    rig.turn()
    rig.write("a.xml", b"two!")
    assert rig.turn() == ["a.xml"]
    assert rig.sent == [b"one", b"two!"]


def test_a_file_that_was_only_touched_is_not_sent_again(rig: Rig) -> None:
    rig.write("a.xml", b"one")
    rig.turn()
    before = dict(rig.positions)
    os.utime(rig.folder / "a.xml", ns=(1, 1))
    rig.now_ns = (rig.folder / "a.xml").stat().st_ctime_ns + HOUR_NS
    assert rig.turn() == []
    assert rig.positions != before
    assert rig.sent == [b"one"]


def test_a_file_is_left_alone_until_it_has_settled(rig: Rig) -> None:
    rig.write("a.xml", b"half")
    rig.now_ns -= HOUR_NS
    assert rig.turn() == []
    rig.now_ns += 61 * 10**9
    assert rig.turn() == ["a.xml"]


def test_after_a_crash_before_the_commit_everything_comes_again(rig: Rig) -> None:
    rig.write("a.xml", b"one")
    assert rig.poll() is not None
    rig.crash()
    assert rig.turn() == ["a.xml"]


def test_after_a_crash_behind_the_commit_nothing_comes_again(rig: Rig) -> None:
    rig.write("a.xml", b"one")
    batch = rig.poll()
    assert batch is not None
    rig.commit(batch)
    rig.crash()
    assert rig.turn() == []


def test_polling_again_without_a_commit_goes_on_behind_the_batch_before(rig: Rig) -> None:
    rig.write("a.xml", b"one")
    rig.write("b.xml", b"two")
    first, second = rig.poll(records_max=1), rig.poll(records_max=1)
    assert first is not None
    assert second is not None
    assert [r.origin for r in (*first.records, *second.records)] == ["a.xml", "b.xml"]
    assert rig.poll() is None


def test_resuming_at_every_batch_boundary_sends_each_file_once(rig: Rig) -> None:
    for number in range(20):
        rig.write(f"{number:02}.xml", b"%d" % number)
    for crash_before_commit in (True, False) * 20:
        batch = rig.poll(records_max=3)
        if batch is not None and not crash_before_commit:
            rig.commit(batch)
        rig.crash()
    assert rig.sent == [b"%d" % number for number in range(20)]


def test_a_batch_stops_at_its_bytes(tmp_path: Path, catalogue: Catalogue) -> None:
    rig = Rig(tmp_path, catalogue, batch_bytes_max=10)
    for name in ("a.xml", "b.xml", "c.xml"):
        rig.write(name, b"12345678")
    batch = rig.poll()
    assert batch is not None
    assert [received.origin for received in batch.records] == ["a.xml", "b.xml"]


def test_reading_a_large_file_stops_when_the_time_is_over_and_goes_on(rig: Rig) -> None:
    rig.write("big.xml", b"x" * 5_000_000)
    rig.monotonic_s += 3600.0
    assert rig.source.poll(10, timeout_s=0.0) is None
    assert rig.source.poll(10, timeout_s=1.0) is not None


def test_an_oversize_becomes_a_refusal_that_names_the_file(rig: Rig) -> None:
    rig.write("big.xml", b"x" * (rig.catalogue.bytes_max("I7") + 1))
    batch = rig.poll()
    assert batch is not None
    message = batch.records[0].message
    assert (message.topic, message.code) == ("cim.i7.rejected", "message_too_large")
    assert dict(message.headers)["cimstream_where"] == b"hes-1: big.xml"


def test_with_delete_a_file_is_gone_after_the_commit_and_not_before(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    rig = Rig(tmp_path, catalogue, after=After.DELETE)
    rig.write("a.xml", b"one")
    batch = rig.poll()
    assert batch is not None
    assert rig.names() == {"a.xml"}
    rig.commit(batch)
    rig.source.committed(batch)
    assert rig.names() == set()


def test_positions_of_deleted_files_are_forgotten_and_their_names_are_free(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    rig = Rig(tmp_path, catalogue, after=After.DELETE)
    rig.write("a.xml", b"one")
    rig.turn()
    rig.turn()
    assert rig.positions == {}
    rig.write("a.xml", b"one")
    assert rig.turn() == ["a.xml"]


def test_a_file_left_over_by_a_crash_behind_the_commit_is_tidied_and_not_sent(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    rig = Rig(tmp_path, catalogue, after=After.DELETE)
    rig.write("a.xml", b"one")
    batch = rig.poll()
    assert batch is not None
    rig.commit(batch)
    rig.crash()
    assert rig.turn() == []
    assert rig.names() == set()
    assert rig.sent == [b"one"]


def test_a_version_that_came_while_the_first_was_committed_is_neither_lost_nor_deleted_unsent(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    rig = Rig(tmp_path, catalogue, after=After.DELETE)
    rig.write("a.xml", b"one")
    first = rig.poll()
    assert first is not None
    rig.write("a.xml", b"second")
    second = rig.poll()
    assert second is not None
    rig.commit(first)
    rig.source.committed(first)
    assert rig.names() == {"a.xml"}
    rig.commit(second)
    rig.source.committed(second)
    assert rig.names() == set()
    assert rig.sent == [b"one", b"second"]


def test_with_move_files_keep_their_place_below_the_done_folder(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    rig = Rig(tmp_path, catalogue, after=After.MOVE)
    rig.source.check()
    rig.write("sub/a.xml", b"one")
    assert rig.turn() == ["sub/a.xml"]
    assert (tmp_path / ".done" / "sub" / "a.xml").read_bytes() == b"one"
    assert rig.turn() == []


def test_what_cannot_be_tidied_is_told_once_and_never_sent_again(
    tmp_path: Path, catalogue: Catalogue
) -> None:
    rig = Rig(tmp_path, catalogue, after=After.MOVE)
    (tmp_path / ".done").write_text("a file in the folder's place")
    rig.write("a.xml", b"one")
    batch = rig.poll()
    assert batch is not None
    rig.commit(batch)
    assert [skipped.origin for skipped in rig.source.committed(batch)] == ["a.xml"]
    assert rig.turn() == []
    assert rig.sent == [b"one"]


def test_a_link_is_told_once(rig: Rig) -> None:
    (rig.folder / "link.xml").symlink_to("/etc/hostname")
    batch = rig.poll()
    assert batch is not None
    assert [skipped.origin for skipped in batch.skipped] == ["link.xml"]
    assert rig.poll() is None


def test_a_folder_that_goes_away_is_unavailable_and_comes_back(rig: Rig) -> None:
    rig.write("a.xml", b"one")
    away = rig.folder.with_name("away")
    rig.folder.rename(away)
    with pytest.raises(PeerUnavailableError):
        rig.poll()
    away.rename(rig.folder)
    rig.crash()
    rig.now_ns += HOUR_NS
    assert rig.turn() == ["a.xml"]


def test_a_position_nobody_can_read_makes_the_file_new(rig: Rig) -> None:
    rig.write("a.xml", b"one")
    rig.positions = {b"a.xml": b"{}"}
    rig.crash()
    assert rig.turn() == ["a.xml"]


def test_check_refuses_what_is_no_folder(tmp_path: Path, catalogue: Catalogue) -> None:
    rig = Rig(tmp_path / "none", catalogue)
    with pytest.raises(SourceConfigError, match="no folder"):
        rig.source.check()


def test_closing_twice_is_harmless(rig: Rig) -> None:
    rig.source.close()
    rig.source.close()
