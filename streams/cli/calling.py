"""What the commands that speak to a gateway share: its options, and its errors at a terminal.

Lives here: which gateway, as whom; from an error of the client to what a person is told. Must not
live here: commands (`publish`, `request`), HTTP (`connectors.client`).
"""

from __future__ import annotations

import ssl
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from connectors.client import Client, ClientError, NotAllowedError, RefusedError, UnavailableError
from connectors.client.speaker import URL
from connectors.inbound import UnknownInterfaceError
from topics import Catalogue
from topics.errors import EXIT_CONFIG, EXIT_FAILED, EXIT_UNAVAILABLE, OperatorError

STDIN: Final = "-"

Interface = Annotated[
    str, typer.Option("--interface", "-i", metavar="I1..I11", help="Interface to send to.")
]
GatewayUrl = Annotated[
    str,
    typer.Option("--gateway", envvar="CIMSTREAM_GATEWAY", metavar="URL", help="The gateway."),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        envvar="CIMSTREAM_KEY_FILE",
        metavar="FILE",
        help="A file with the API key and nothing else; default: none is sent.",
        show_default=False,
    ),
]
CaFile = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="Certificates (PEM) of whom to trust; default: the public authorities.",
        show_default=False,
    ),
]
PatienceSeconds = Annotated[
    float,
    typer.Option(
        "--patience-s", min=0, help="Seconds a message is sent again while there is no answer."
    ),
]
URL_DEFAULT: Final = URL


def client(url: str, key_file: Path | None, ca_file: Path | None, patience_s: float) -> Client:
    """The client that these options mean.

    Raises:
        OperatorError: an address, a key or certificates that cannot be used.
    """
    try:
        tls = None if ca_file is None else ssl.create_default_context(cafile=ca_file)
        return Client(url, key_file=key_file, tls=tls, patience_s=patience_s)
    except OSError as error:  # ssl's own errors are of this kind
        raise OperatorError(
            "certificate_missing",
            what="the certificates of whom to trust cannot be read",
            where=str(ca_file),
            why=error.strerror or "",
            fix="name a file in PEM",
            exit_code=EXIT_CONFIG,
        ) from error
    except ClientError as error:
        raise told(error, url) from error


def interface_of(name: str, catalogue: Catalogue) -> str:
    """The interface that is meant.

    Raises:
        OperatorError: interface_unknown.
    """
    interface = name.upper()
    if interface not in catalogue.interfaces:
        raise UnknownInterfaceError(interface, catalogue.interfaces)
    return interface


def message_of(path: str) -> bytes:
    """The bytes of a file, or of standard input.

    Raises:
        OperatorError: path_missing.
    """
    if path == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise OperatorError(
            "path_missing",
            what=f"the file {path} cannot be read",
            why=error.strerror or "",
            fix="correct the path",
            exit_code=EXIT_CONFIG,
        ) from error


def told(error: ClientError, where: str) -> OperatorError:
    """The error as a person at a terminal sees it."""
    exit_code = EXIT_FAILED if isinstance(error, RefusedError) else EXIT_CONFIG
    if isinstance(error, UnavailableError):
        exit_code = EXIT_UNAVAILABLE
    fix = error.fix
    if isinstance(error, NotAllowedError) and error.status == 401:
        fix = f"name the file of your key with --key-file. {fix}"
    why = "" if error.why == error.what else error.why
    return OperatorError(
        error.code, what=error.what, where=where, why=why, fix=fix, exit_code=exit_code
    )
