"""Walking a folder and reading files within a bound."""

from __future__ import annotations

import hashlib
import io
import os
import tracemalloc
from pathlib import Path

import pytest

from connectors.files.client import (
    CHUNK_BYTES,
    Found,
    Meter,
    Reading,
    move,
    read_stream,
    remove,
    walk,
)


def found_in(root: Path) -> list[Found]:
    return list(walk(root, lambda *_: None))


def names_in(root: Path) -> list[str]:
    return [found.relative for found in found_in(root)]


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def test_files_come_sorted_folder_by_folder(tmp_path: Path) -> None:
    fill(tmp_path, "b/2.xml", "b/1.xml", "c.xml", "a.xml", "b/b/x.xml")
    assert names_in(tmp_path) == ["a.xml", "b/1.xml", "b/2.xml", "b/b/x.xml", "c.xml"]


def test_hidden_and_unfinished_names_are_passed_over(tmp_path: Path) -> None:
    fill(tmp_path, ".h.xml", ".done/a.xml", "a.xml.part", "b.tmp", "c.xml")
    os.mkfifo(tmp_path / "pipe")
    assert names_in(tmp_path) == ["c.xml"]


def test_links_are_reported_and_never_followed(tmp_path: Path) -> None:
    fill(tmp_path, "out/secret.xml", "in/a.xml")
    (tmp_path / "in" / "link.xml").symlink_to(tmp_path / "out" / "secret.xml")
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in")
    said: list[str] = []
    found = list(walk(tmp_path / "in", lambda name, *_: said.append(name)))
    assert [one.relative for one in found] == ["a.xml"]
    assert said == ["link.xml", "round"]


def test_a_name_that_is_no_text_is_a_name(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.xml")).write_bytes(b"x")
    assert [os.fsencode(name) for name in names_in(tmp_path)] == [b"\xff.xml"]


def test_a_folder_that_is_not_there_is_an_error_and_one_that_vanishes_below_is_not(
    tmp_path: Path,
) -> None:
    with pytest.raises(FileNotFoundError):
        found_in(tmp_path / "none")
    fill(tmp_path, "a/1.xml", "b/1.xml", "c.xml")
    walking = walk(tmp_path, lambda *_: None)
    assert next(walking).relative == "a/1.xml"
    (tmp_path / "b" / "1.xml").unlink()
    (tmp_path / "b").rmdir()
    assert [one.relative for one in walking] == ["c.xml"]


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 150, 5000])
@pytest.mark.parametrize("chunk", [1, 7, 64, 5000])
def test_a_meter_keeps_all_up_to_the_bound_and_the_head_beyond(size: int, chunk: int) -> None:
    data = os.urandom(size)
    meter = Meter(bytes_max=100, head_bytes=64)
    for start in range(0, size, chunk):
        meter.feed(data[start : start + chunk])
    content = meter.content()
    assert content.whole == (data if size <= 100 else None)
    assert content.head == data[:64]
    assert (content.size, content.sha256) == (size, hashlib.sha256(data).hexdigest())


def test_a_head_larger_than_the_bound_is_still_whole() -> None:
    meter = Meter(bytes_max=10, head_bytes=64)
    for _ in range(20):
        meter.feed(b"x" * 7)
    assert meter.content().head == b"x" * 64


def read(found: Found, bytes_max: int = 1000) -> Reading:
    reading = Reading(found, bytes_max=bytes_max, head_bytes=64)
    while not reading.step():
        pass
    reading.close()
    return reading


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    fill(tmp_path, "a.xml")
    content = read(found_in(tmp_path)[0]).content()
    assert content is not None
    assert content.whole == b"a.xml"


def test_a_huge_file_is_never_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.xml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    found = found_in(tmp_path)[0]
    tracemalloc.start()
    content = read(found, bytes_max=8 * CHUNK_BYTES).content()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert content is not None
    assert (content.whole, content.size) == (None, 100_000_000)
    # The bound, the doubling of a growing buffer, and two chunks.
    assert peak < 20 * CHUNK_BYTES


def test_a_file_that_grows_while_it_is_read_has_no_content(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_bytes(b"half")
    reading = Reading(found_in(tmp_path)[0], bytes_max=1000, head_bytes=64)
    assert not reading.step()
    with path.open("ab") as file:
        file.write(b"the rest")
    while not reading.step():
        pass
    assert reading.content() is None
    reading.close()


def test_a_file_replaced_since_it_was_seen_has_no_content(tmp_path: Path) -> None:
    fill(tmp_path, "a.xml", "b")
    found = found_in(tmp_path)[0]
    (tmp_path / "b").rename(tmp_path / "a.xml")
    assert read(found).content() is None


def test_a_pipe_in_a_files_place_does_not_block(tmp_path: Path) -> None:
    fill(tmp_path, "a.xml")
    found = found_in(tmp_path)[0]
    (tmp_path / "a.xml").unlink()
    os.mkfifo(tmp_path / "a.xml")
    assert read(found).content() is None


def test_a_stream_is_read_within_the_bound() -> None:
    content = read_stream(io.BytesIO(b"x" * 5000), bytes_max=100, head_bytes=64)
    assert (content.whole, content.head, content.size) == (None, b"x" * 64, 5000)


def test_only_the_file_that_was_read_is_removed(tmp_path: Path) -> None:
    fill(tmp_path, "a.xml")
    found = found_in(tmp_path)[0]
    (tmp_path / "a.xml").write_bytes(b"another")
    assert not remove(found)
    assert remove(found_in(tmp_path)[0])
    assert names_in(tmp_path) == []
    assert not remove(found)


def test_a_moved_file_never_overwrites_another(tmp_path: Path) -> None:
    done = tmp_path / ".done"
    for content in (b"first", b"second"):
        (tmp_path / "sub").mkdir(exist_ok=True)
        (tmp_path / "sub" / "a.xml").write_bytes(content)
        assert move(found_in(tmp_path)[0], done, hashlib.sha256(content).hexdigest())
    kept = {path.read_bytes() for path in (done / "sub").iterdir()}
    assert kept == {b"first", b"second"}
