"""`cimstream request`: a message to a gateway, and its reply.

Lives here: the options, how a reply is shown, what it makes of the exit code. Must not live here:
sending and waiting (`connectors.client`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from connectors.client import ClientError, NoReplyError, Receipt, RefusedError, Reply
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
from streams.cli.errors import EXIT_PENDING, explain
from streams.cli.records import to_json
from topics import load_catalogue
from topics.errors import EXIT_FAILED


class Shown(StrEnum):
    """How a reply is written: for people, as it came, or as a JSON document."""

    TEXT = "text"
    XML = "xml"
    JSON = "json"


MessageFile = Annotated[str, typer.Argument(metavar="FILE", help="The message; - for stdin.")]
WaitSeconds = Annotated[
    float, typer.Option("--wait-s", min=0, help="Seconds to wait for the reply.")
]
Async = Annotated[
    bool, typer.Option("--async", help="Do not wait: print the receipt, to ask with later.")
]
Output = Annotated[
    Shown, typer.Option("--output", "-o", help="The reply for people, as it came, or as JSON.")
]


def request(
    file: MessageFile,
    interface: Interface,
    *,
    wait_s: WaitSeconds = 30.0,
    no_wait: Async = False,
    gateway: GatewayUrl = URL_DEFAULT,
    key_file: KeyFile = None,
    ca_file: CaFile = None,
    patience_s: PatienceSeconds = 60.0,
    output: Output = Shown.TEXT,
) -> None:
    """Send a message to a gateway and show its reply.

    While there is no answer the same bytes are sent again, which has no second effect. Whoever
    runs the command again with the same file gets the same reply.

    Exit status: 0 OK, 1 refused, or in part (PARTIAL), 2 wrong usage, 3 no reply yet: run it
    again, 69 the gateway does not answer.

    Example: cimstream request examples/nouns/i1/outages-create.xml --interface I1
    """
    interface = interface_of(interface, load_catalogue())
    message = message_of(file)
    with client(gateway, key_file, ca_file, patience_s) as calling:
        try:
            if no_wait:
                _write(_receipt(calling.publish(interface, message), output))
                return
            reply = calling.request(interface, message, wait_s=wait_s)
        except NoReplyError as error:
            _write(_receipt(error.receipt, output))
            raise typer.Exit(EXIT_PENDING) from error
        except RefusedError as error:
            if output is Shown.JSON:
                _write(to_json(_refusal(error)))
            explain(told(error, gateway))
            raise typer.Exit(EXIT_FAILED) from error
        except ClientError as error:
            raise told(error, gateway) from error
    if output is Shown.XML:
        sys.stdout.buffer.write(reply.data)
        sys.stdout.flush()
    else:
        _write(to_json(_document(reply)) if output is Shown.JSON else _text(reply))
    if reply.result != "OK":
        raise typer.Exit(EXIT_FAILED)


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")


def _receipt(receipt: Receipt, output: Shown) -> str:
    if output is Shown.JSON:
        return to_json(asdict(receipt))
    return f"no reply yet  {receipt.place}  {receipt.identity}  {receipt.answer}".rstrip()


def _text(reply: Reply) -> str:
    lines = [reply.result]
    lines += [f"  {one.object_type or 'object'} {one.value}" for one in reply.ids]
    for error in reply.errors:
        if error.code != "0.0" or error.details:
            about = f" {error.object_id.value}" if error.object_id else ""
            lines.append(f"  {error.code}{about}  {error.reason}  {error.details}".rstrip())
    return "\n".join(lines)


def _document(reply: Reply) -> Mapping[str, object]:
    errors = [
        {
            "code": error.code,
            "reason": error.reason,
            "details": error.details,
            **({"object": error.object_id.value} if error.object_id else {}),
        }
        for error in reply.errors
    ]
    objects = [{"id": one.value, "kind": one.kind, "type": one.object_type} for one in reply.ids]
    return {"result": reply.result, "errors": errors, "objects": objects}


def _refusal(error: RefusedError) -> Mapping[str, object]:
    return {
        "result": "FAILED",
        "code": error.code,
        "status": error.status,
        "what": error.what,
        "why": error.why,
        "fix": error.fix,
        "errors": list(error.errors),
    }
