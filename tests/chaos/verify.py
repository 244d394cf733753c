"""What must hold after every scenario, seen from outside.

Lives here: what was sent against what was seen (`history` judges), what follows from inbound
against what is there (`recompute` judges), rejections and replies, and the local stores against
their changelogs. Must not live here: what is an anomaly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from streams.engine.errors import FatalError
from streams.engine.record import Record, TopicPartition
from streams.engine.rocks import RocksState
from tests.chaos.cluster import INTERFACE
from tests.chaos.history import History, Position, Reader, Sent, check
from tests.chaos.observer import snapshot, uncommitted
from tests.chaos.recompute import differences, differences_while_running, take
from tests.chaos.stage import COUNTERS, DEDUP, INBOUND, LOGS, Stage
from tests.chaos.workload import Receipts
from topics import naming

_REJECTED: Final = naming.rejected(INTERFACE)
_OUTBOUND: Final = naming.outbound(INTERFACE)
# Where something is badly wrong, the first few say enough.
_NAMED: Final = 5


def history(stage: Stage, reader: Reader) -> tuple[int, list[str]]:
    """How many events there are, and every anomaly of their history."""
    bootstrap = stage.cluster.bootstrap
    final = snapshot(bootstrap, "the final state", LOGS, [INBOUND])
    sent = [
        Sent(r.message.identity, r.message.events, Position(r.at, r.offset))
        for r in stage.receipts.delivered
        if not r.message.code
    ]
    sent += [
        Sent(message.identity, message.events, None)
        for message, _ in stage.receipts.failed
        if not message.code
    ]
    seen = History(
        tuple(sent), (reader,), final, uncommitted(bootstrap, LOGS), tuple(stage.snapshots)
    )
    count = sum(len(records) for records in final.logs.values())
    return count, [str(anomaly) for anomaly in check(seen)]


def recomputed(stage: Stage) -> Iterator[str]:
    """Where what is there differs from what follows from inbound, at work and in the end."""
    found = [d for cut in stage.cuts for d in differences_while_running(cut)]
    found += differences(take(stage.cluster.bootstrap))
    wrong = [difference for difference in found if difference.what not in stage.not_recomputed]
    yield from map(str, wrong[:_NAMED])
    if len(wrong) > _NAMED:
        yield f"{len(wrong) - _NAMED} more differences of that kind"


def rejections(stage: Stage) -> Iterator[str]:
    """Rejections and replies that are missing, there twice, or nobody's."""
    wanted, replies_wanted = asked_for(stage.receipts, stage.read(INBOUND))
    found = Counter(
        (_header(r, "cimstream_inbound"), _header(r, "cimstream_code"))
        for r in stage.read(_REJECTED)
    )
    yield from _differences("rejection", wanted, found)
    replies = len(stage.read(_OUTBOUND))
    if replies != replies_wanted:
        yield f"{replies} replies, {replies_wanted} expected"


def asked_for(
    receipts: Receipts, inbound: Iterable[Record]
) -> tuple[Counter[tuple[str, str]], int]:
    """The rejections that must be there, as place and code, and how many replies.

    What lies on inbound without a receipt is judged by what it is: its sender had given up, or
    the broker had forgotten the sender and took its second try for a new message.
    """
    told = {f"{receipt.at}@{receipt.offset}": receipt.message for receipt in receipts.delivered}
    messages = [*told.values(), *(message for message, _ in receipts.failed)]
    sent = {message.data: message for message in messages}
    untold = {
        place: sent[record.value]
        for record in inbound
        if (place := f"{record.source}@{record.offset}") not in told and record.value in sent
    }
    there = told | untold
    wanted = Counter((place, message.code) for place, message in there.items() if message.code)
    return wanted, sum(message.replies for message in there.values())


def local_state(stage: Stage) -> Iterator[str]:
    """Where a local store at its checkpoint is not the fold of the committed changelog."""
    together = {(r.source, r.offset): r for r in stage.remembered}
    together |= {(r.source, r.offset): r for r in stage.read(DEDUP, COUNTERS)}
    log: dict[TopicPartition, list[Record]] = {}
    for (at, _), record in sorted(together.items()):
        log.setdefault(at, []).append(record)
    for folder in stage.folders:
        for slot in sorted(folder.glob("intake-*")):
            yield from _compare(slot, log)


def _compare(folder: Path, log: dict[TopicPartition, list[Record]]) -> Iterator[str]:
    try:
        state = RocksState(folder)
    except FatalError as error:
        yield f"the local state of {folder.name} cannot be opened: {error}"
        return
    for store, records in log.items():
        checkpoint = state.checkpoint(store)
        wanted = _fold(r for r in records if checkpoint is not None and r.offset < checkpoint)
        found = dict(state.items(store))
        if found != wanted:
            missing, extra = len(wanted.keys() - found.keys()), len(found.keys() - wanted.keys())
            yield (
                f"local store {store} in {folder.parent.name}/{folder.name} at {checkpoint} is not "
                f"its changelog: {missing} keys missing, {extra} too many, "
                f"{sum(found[k] != wanted[k] for k in found.keys() & wanted.keys())} different"
            )
    state.close()


def _fold(records: Iterable[Record]) -> dict[bytes, bytes]:
    store: dict[bytes, bytes] = {}
    for record in records:
        if record.value is None:
            store.pop(record.key or b"", None)
        else:
            store[record.key or b""] = record.value
    return store


def _differences(
    what: str, wanted: Counter[tuple[str, str]], found: Counter[tuple[str, str]]
) -> Iterator[str]:
    lost = [key for key in wanted if key not in found]
    twice = [key for key in wanted if found[key] > wanted[key]]
    alien = [key for key in found if key not in wanted]
    for name, keys in (("lost", lost), ("there twice", twice), ("nobody sent", alien)):
        if keys:
            some = ", ".join(" ".join(key) for key in keys[:_NAMED])
            yield f"{len(keys)} {what}s {name}: {some}"


def _header(record: Record, name: str) -> str:
    return next((value.decode() for key, value in record.headers if key == name), "")
