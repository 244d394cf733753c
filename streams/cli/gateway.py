"""`cimstream gateway` and `gateway-key`: the HTTP door for systems, and its keys.

Lives here: options, and refusing to start where it would not be safe. Must not live here: serving
(`streams.runtime.gateway`), the access file (`connectors.access`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from connectors.access import key_hash, load_access, new_key
from connectors.destinations import load_destinations
from connectors.soap.credentials import Credentials
from streams.cli.listening import check_certificate, check_probes, check_there, is_loopback
from streams.cli.options import Bootstrap, ConfigFile, target
from streams.cli.supervising import fitted, supervise
from streams.runtime.gateway.process import listen
from streams.runtime.logs import configure
from streams.runtime.process import Orders
from streams.runtime.settings import Gateway, Settings, load_settings
from topics.errors import EXIT_CONFIG, OperatorError


def gateway(
    *,
    host: Annotated[str | None, typer.Option(help="Address to bind.  [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port; 0 takes a free one.  [default: 8080]", min=0)
    ] = None,
    processes: Annotated[
        int | None,
        typer.Option(help="Processes that share the port.  [default: 1]", min=1, max=64),
    ] = None,
    access_file: Annotated[
        Path | None, typer.Option(help="Who may send what; without it anybody on this machine.")
    ] = None,
    destinations_file: Annotated[
        Path | None, typer.Option(help="Systems that messages go to; for those that pull.")
    ] = None,
    health_port: Annotated[
        int | None,
        typer.Option(help="/metrics and /health; 0 takes a free one.  [default: 9480]"),
    ] = None,
    bootstrap: Bootstrap = None,
    config: ConfigFile = None,
) -> None:
    """Take messages over HTTP, make them durable in Kafka, and give their replies; until stopped.

    A message is posted to /v1/INTERFACE/messages, as CIM XML. It is answered after Kafka has it:
    202 with a receipt, or where its pattern has a reply, 200 with that reply or the status of
    its refusal. A message that is sent again gets the same answer and has no second effect.

    `cimstream run` must be working for replies to come. It never creates topics: run
    `cimstream topics apply` first. SIGTERM or Ctrl-C ends it when open requests are answered.

    Exit status: 0 stopped as asked, 2 settings, topics or access file, 69 no broker.

    Example: cimstream gateway --port 8080
    """
    settings = load_settings(
        config,
        gateway={
            "host": host,
            "port": port,
            "processes": processes,
            "access_file": access_file,
            "health_port": health_port,
        },
        delivery={"destinations_file": destinations_file},
    )
    configure(settings.logging.level, settings.logging.format)
    aim = target(bootstrap, config)
    check_safe(settings.gateway)
    check_probes(settings.http)
    if settings.gateway.access_file is not None:
        Credentials(load_access(settings.gateway.access_file, aim.catalogue).sources)
    if settings.delivery.destinations_file is not None:
        load_destinations(settings.delivery.destinations_file, aim.catalogue)
    raise typer.Exit(_supervise(aim.kafka.bootstrap_servers, fitted(settings, aim)))


def gateway_key() -> None:
    """Make an API key: give the key to the system, its hash to the access file.

    The key is shown once and kept nowhere.

    Example: cimstream gateway-key
    """
    made = new_key()
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"key   {made}\nhash  {key_hash(made)}")


def check_safe(wanted: Gateway) -> None:
    """Refuse a door that strangers could reach unencrypted or unasked.

    Raises:
        OperatorError: `gateway_open`, `gateway_unencrypted`, `certificate_missing`,
            `secret_unsafe`.
    """
    check_certificate("gateway", wanted.certificate_file, wanted.key_file)
    if wanted.client_ca_file is None and wanted.client_certificates == "required":
        raise OperatorError(
            "certificate_missing",
            what="certificates of clients are required, and nothing says who may sign them",
            fix="set gateway.client_ca_file",
            exit_code=EXIT_CONFIG,
        )
    if wanted.client_ca_file is not None and wanted.certificate_file is None:
        raise OperatorError(
            "certificate_missing",
            what="clients show certificates in TLS only, and the gateway has none of its own",
            fix="set gateway.certificate_file and gateway.key_file, or leave client_ca_file out",
            exit_code=EXIT_CONFIG,
        )
    if wanted.client_ca_file is not None:
        check_there(wanted.client_ca_file)
    if is_loopback(wanted.host):
        return
    if wanted.access_file is None:
        raise OperatorError(
            "gateway_open",
            what="off loopback the gateway would take messages from anybody",
            where=wanted.host,
            fix="name an access file (--access-file), see docs/gateway.md",
            exit_code=EXIT_CONFIG,
        )
    if wanted.certificate_file is None and not wanted.tls_elsewhere:
        raise OperatorError(
            "gateway_unencrypted",
            what="off loopback keys and messages would travel unencrypted",
            where=wanted.host,
            fix="set gateway.certificate_file and key_file, or tls_elsewhere if a proxy has TLS",
            exit_code=EXIT_CONFIG,
        )


def _supervise(servers: str, settings: Settings) -> int:
    wanted = settings.gateway
    try:
        # Held while the slots run, but not listening: so all of them get the same free port.
        held = listen(wanted.host, wanted.port)
    except OSError as error:
        raise OperatorError(
            "port_taken",
            what=f"the gateway cannot listen: {error.strerror}",
            where=f"{wanted.host}:{wanted.port}",
            fix="choose another --port",
            exit_code=EXIT_CONFIG,
        ) from error
    settled = wanted.model_copy(update={"port": held.getsockname()[1]})
    settings = settings.model_copy(update={"gateway": settled})
    with held:
        orders = [Orders(servers, settings, gateway=slot) for slot in range(wanted.processes)]
        return supervise(orders)
