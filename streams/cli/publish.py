"""`cimstream publish`: messages from files to a gateway, each with a receipt.

Lives here: the options and the order. Must not live here: sending (`connectors.client`), lines
(`receipts`).
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from connectors.client import ClientError, RefusedError
from streams.cli.calling import (
    URL_DEFAULT,
    CaFile,
    GatewayUrl,
    Interface,
    KeyFile,
    PatienceSeconds,
    client,
    interface_of,
    message_of,
    told,
)
from streams.cli.options import Form, OutputForm
from streams.cli.receipts import Receipt, Receipts
from topics import load_catalogue
from topics.errors import EXIT_FAILED

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Messages; - for stdin.")]


def publish(
    files: Files,
    interface: Interface,
    *,
    gateway: GatewayUrl = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    patience_s: PatienceSeconds = 60.0,
    output: OutputForm = Form.TABLE,
) -> None:
    """Send messages to a gateway and wait for nothing but that Kafka has them.

    Each file is one message, sent as it is. Prints a receipt per message: where it lies and the
    identity it is recognised by. While there is no answer the same bytes are sent again, which
    has no second effect. What a message says is judged behind inbound.

    It needs no access to Kafka; `cimstream send` does, and takes folders.

    Exit status: 0 every message got its receipt, 1 some were refused, 2 wrong usage, 69 the
    gateway does not answer.

    Example: cimstream publish examples/i7/readings-day.xml --interface I7
    """
    interface = interface_of(interface, load_catalogue())
    messages = [(file, message_of(file)) for file in files]
    receipts = Receipts(as_json=output is Form.JSON)
    with client(gateway, key_file, ca_file, patience_s) as calling:
        for file, message in messages:
            try:
                receipt = calling.publish(interface, message)
            except RefusedError as error:
                receipts.print(Receipt(file, failure=str(error)))
            except ClientError as error:
                raise told(error, gateway) from error
            else:
                receipts.print(Receipt(file, receipt.place, receipt.identity))
    sys.stdout.flush()
    Console(stderr=True).print(receipts.summary(), highlight=False)
    if receipts.failed:
        raise typer.Exit(EXIT_FAILED)
