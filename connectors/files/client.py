"""The folder: which files are there, which are finished, and their bytes within a bound.

Lives here: everything that touches the file system. Must not live here: Kafka, CIM, what was
already sent.

Invariant: however large a file is, no more than `bytes_max` of it plus one chunk is in memory.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

# One read. Large enough that hashing dominates, small enough that a step takes about 1 ms.
CHUNK_BYTES: Final = 1024 * 1024

# Writers finish a file under such a name and rename it when it is whole.
UNFINISHED_SUFFIXES: Final = (".part", ".tmp")

OnSkip = Callable[[str, str, str], None]
"""Told of what is passed over: (relative path, why, what to do)."""


Room = Callable[[bytes], int]
"""How many bytes a file may have that begins like this, where that is more than others may."""


def _no_more(_: bytes) -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one state of a file from another without reading it."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """The stamp in a stat result."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class Found:
    """A file seen in the folder.

    `relative` uses `/`, and surrogate escapes for bytes that are no text. `changed_ns` is
    the inode change time, epoch nanoseconds: unlike the modification time, no copy tool
    sets it back.
    """

    path: str
    relative: str
    stamp: Stamp
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Content:
    """What was read: `whole` is None where it was larger than the bound; `head` its start."""

    whole: bytes | None
    head: bytes
    size: int
    sha256: str


class Meter:
    """Takes chunks, keeps their digest, and the bytes as long as they fit."""

    def __init__(self, bytes_max: int, head_bytes: int, room: Room = _no_more) -> None:
        self._bytes_max = bytes_max
        self._room = room
        self._head_bytes = head_bytes
        self._kept = bytearray()
        self._size = 0
        self._digest = hashlib.sha256()

    def feed(self, chunk: bytes) -> None:
        """Take the next chunk."""
        if not self._size:
            self._bytes_max = max(self._bytes_max, self._room(chunk))
        self._size += len(chunk)
        self._digest.update(chunk)
        if self._size <= self._bytes_max:
            self._kept += chunk
            return
        del self._kept[self._head_bytes :]
        self._kept += chunk[: self._head_bytes - len(self._kept)]

    @property
    def size(self) -> int:
        """Bytes taken so far."""
        return self._size

    def content(self) -> Content:
        """What the chunks were."""
        whole = bytes(self._kept) if self._size <= self._bytes_max else None
        head = bytes(self._kept[: self._head_bytes])
        return Content(whole, head, self._size, self._digest.hexdigest())


class Reading:
    """One file being read in steps, so that a huge one never holds up its reader."""

    def __init__(
        self, found: Found, *, bytes_max: int, head_bytes: int, room: Room = _no_more
    ) -> None:
        """Open the file.

        Raises:
            OSError: it cannot be opened.
        """
        self.found = found
        # O_NONBLOCK: a pipe put in the file's place must not block us.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        self._file: BinaryIO = os.fdopen(os.open(found.path, flags), "rb", buffering=0)
        self._meter = Meter(bytes_max, head_bytes, room)
        self._same = self._unchanged()

    def step(self) -> bool:
        """Read one chunk; True when there is nothing more to read."""
        if not self._same:
            return True
        chunk = self._file.read(CHUNK_BYTES)
        if chunk:
            self._meter.feed(chunk)
            return False
        self._same = self._unchanged() and self._meter.size == self.found.stamp.size
        return True

    def content(self) -> Content | None:
        """What was read; None if the file changed meanwhile, so that it is half old, half new."""
        return self._meter.content() if self._same else None

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._file.close()

    def _unchanged(self) -> bool:
        status = os.fstat(self._file.fileno())
        return stat.S_ISREG(status.st_mode) and Stamp.of(status) == self.found.stamp


def read_stream(
    stream: BinaryIO, *, bytes_max: int, head_bytes: int, room: Room = _no_more
) -> Content:
    """Read a pipe or a file to its end within the bound.

    Raises:
        OSError: reading failed.
    """
    meter = Meter(bytes_max, head_bytes, room)
    while chunk := stream.read(CHUNK_BYTES):
        meter.feed(chunk)
    return meter.content()


def walk(root: Path, on_skip: OnSkip) -> Iterator[Found]:
    """All finished-looking files below `root`, sorted by name within each folder.

    Passed over in silence: hidden names, names of unfinished files, what is no regular file.
    Symbolic links are reported and not followed: they could lead out of the folder, or round
    in it.

    Raises:
        OSError: `root` itself cannot be listed.
    """
    pending = [("", iter(_entries(os.fspath(root))))]
    while pending:
        prefix, entries = pending[-1]
        entry = next(entries, None)
        if entry is None:
            pending.pop()
            continue
        relative = prefix + entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                pending.append((relative + "/", iter(_entries(entry.path))))
                continue
            found = _found(entry, relative, on_skip)
        except FileNotFoundError:
            continue  # it was there when the folder was listed
        except OSError as error:
            on_skip(relative, f"cannot be read: {error.strerror}", "give us the right to read it")
            continue
        if found is not None:
            yield found


def remove(found: Found) -> bool:
    """Delete the file if it is still the one that was read; True if it was and is gone.

    Raises:
        OSError: it cannot be deleted.
    """
    if not _still(found):
        return False
    Path(found.path).unlink()
    return True


def move(found: Found, done_folder: Path, sha256: str) -> bool:
    """Move the file below `done_folder`, on the same file system, if it is still the one read.

    `sha256` is the hex digest of what was read. A name taken there by another content gets
    the start of the digest added.

    Raises:
        OSError: it cannot be moved.
    """
    if not _still(found):
        return False
    target = done_folder / found.relative
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target = target.with_name(f"{target.stem}.{sha256[:12]}{target.suffix}")
    Path(found.path).rename(target)
    return True


def _still(found: Found) -> bool:
    try:
        return Stamp.of(os.lstat(found.path)) == found.stamp
    except FileNotFoundError:
        return False


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        shown = (entry for entry in entries if not entry.name.startswith("."))
        return sorted(shown, key=lambda entry: entry.name)


def _found(entry: os.DirEntry[str], relative: str, on_skip: OnSkip) -> Found | None:
    if entry.name.endswith(UNFINISHED_SUFFIXES):
        return None
    if entry.is_symlink():
        on_skip(relative, "is a symbolic link, which we do not follow", "put the file itself here")
        return None
    status = entry.stat(follow_symlinks=False)
    if not stat.S_ISREG(status.st_mode):
        return None
    return Found(entry.path, relative, Stamp.of(status), status.st_ctime_ns)
