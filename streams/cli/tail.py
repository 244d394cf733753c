"""`cimstream tail`: the records of one topic, decoded.

Lives here: the options, and which records in which order. Must not live here: what a record
says (`records`), what is hidden of it (`masking`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

import typer

from streams.cli.lines import pipe_may_close
from streams.cli.options import Bootstrap, ConfigFile, Form, OutputForm, target
from streams.cli.records import Describer, View, find_topic
from streams.cli.unmasking import record_unmasking
from streams.engine.record import Record
from streams.runtime.reading import TopicReader

Topic = Annotated[
    str, typer.Argument(metavar="TOPIC", help="E.g. cim.i7.meter-readings, or i7.meter-readings.")
]
Last = Annotated[
    int, typer.Option("--last", "-n", min=0, help="So many of the newest records first.")
]
FromBeginning = Annotated[
    bool, typer.Option("--from-beginning", help="All records first, as the broker gives them.")
]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Then go on with what comes, until Ctrl-C.")
]
Payload = Annotated[
    bool, typer.Option("--payload", help="Show the XML of messages too, persons masked.")
]
Unmask = Annotated[
    bool, typer.Option("--unmask", help="Show mRIDs, names and serial numbers as they are.")
]


def tail(
    topic: Topic,
    *,
    last: Last = 10,
    from_beginning: FromBeginning = False,
    follow: Follow = False,
    payload: Payload = False,
    unmask: Unmask = False,
    output: OutputForm = Form.TABLE,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Show the newest committed records of a topic, decoded; never what was aborted.

    Canonical events are decoded from Avro; of XML messages the header is shown. Whom data are
    about is masked (0000…aaaa), in keys too, unless --unmask: readings are personal data.
    Reads without a consumer group, so it disturbs nobody. --unmask leaves a record in cim.audit.

    Exit status: 0, 1 --unmask is not for this principal, 2 no such topic, 69 no broker.

    Example: cimstream tail i7.meter-readings -n 5 -o json
    """
    aim = target(bootstrap, config)
    describer = Describer(aim.catalogue, View(payload=payload, unmask=unmask))
    show = describer.json_line if output is Form.JSON else describer.table_line
    with TopicReader(aim.kafka) as reader, pipe_may_close(), suppress(KeyboardInterrupt):
        name = find_topic(topic, reader.topics())
        if unmask:
            record_unmasking(aim, "tail", name)
        for record in _chosen(reader, name, last, from_beginning=from_beginning, follow=follow):
            if record is not None:
                sys.stdout.write(show(record) + "\n")
            if follow:
                sys.stdout.flush()


def _chosen(
    reader: TopicReader, topic: str, last: int, *, from_beginning: bool, follow: bool
) -> Iterator[Record | None]:
    """The records asked for; those there already are sorted by time if they are the last few."""
    ranges = reader.bounds(reader.topics()[topic])
    yield from reader.records(ranges) if from_beginning else reader.last(ranges, last)
    if follow:
        yield from reader.follow({at: span.end for at, span in ranges.items()})
