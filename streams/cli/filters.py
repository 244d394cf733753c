"""The filter that `dlq list` and `dlq redrive` share: its options, and what they mean.

Lives here: names and help of the options, and the refusal of what can match nothing. Must not
live here: reading by the filter (`streams.runtime.rejections`).
"""

from __future__ import annotations

import time
from typing import Annotated

import typer

from connectors.inbound import UnknownInterfaceError
from schemas.errors import CODES
from streams.cli.records import parse_since
from streams.runtime.rejections import Filter
from topics import Catalogue
from topics.errors import EXIT_CONFIG, OperatorError

Interface = Annotated[
    str,
    typer.Option("--interface", "-i", metavar="I1..I11", help="Only this one.", show_default=False),
]
Code = Annotated[
    str, typer.Option("--code", metavar="CODE", help="Only this error code.", show_default=False)
]
Source = Annotated[
    str,
    typer.Option("--source", metavar="NAME", help="Only of this sender.", show_default=False),
]
Since = Annotated[
    str | None,
    typer.Option(
        metavar="SPAN|TIME",
        help="Only since then: 90s, 15m, 2h, 7d, or 2026-01-31T12:00:00Z.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        metavar="SPAN|TIME", help="Only before then; written like --since.", show_default=False
    ),
]


def make_filter(
    catalogue: Catalogue,
    interface: str,
    code: str,
    source: str,
    since: str | None,
    until: str | None,
) -> Filter:
    """What the options mean.

    Raises:
        OperatorError: `interface_unknown`, `code_unknown`, `time_invalid`, or `time_reversed`.
    """
    interface = interface.upper()
    if interface and interface not in catalogue.interfaces:
        raise UnknownInterfaceError(interface, catalogue.interfaces)
    if code and code not in CODES:
        raise OperatorError(
            "code_unknown",
            what=f"there is no error code {code!r}",
            fix="take one from the table that `cimstream dlq list` shows",
            exit_code=EXIT_CONFIG,
        )
    now_ms = time.time_ns() // 1_000_000
    since_ms = None if since is None else parse_since(since, now_ms)
    until_ms = None if until is None else parse_since(until, now_ms)
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise OperatorError(
            "time_reversed",
            what=f"nothing is since {since} and before {until}",
            fix="name the earlier time with --since and the later one with --until",
            exit_code=EXIT_CONFIG,
        )
    return Filter(interface, code, source, since_ms, until_ms)
