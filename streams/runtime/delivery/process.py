"""The process of one delivery slot: the ledger with its attempts and its health door.

Lives here: wiring. Must not live here: what is decided.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from threading import Event
from typing import Final

from connectors.destinations import Destination, DestinationsFileError, load_destinations
from connectors.outbound import Client
from connectors.rest.client import RestClient
from connectors.soap.delivery import SoapDelivery
from streams.engine.kafka import GroupSource, RecordReader, TransactionalProducer
from streams.engine.record import TopicPartition
from streams.runtime.delivery.attempts import Attempts
from streams.runtime.delivery.book import Book, outbound_topics
from streams.runtime.delivery.events import DeliveryLog
from streams.runtime.delivery.ledger import Ledger
from streams.runtime.delivery.pending import NAME, folded
from streams.runtime.health import Health, HealthServer
from streams.runtime.logs import log
from streams.runtime.reading import TopicReader
from streams.runtime.settings import Settings
from streams.runtime.shifts import in_shifts
from streams.runtime.wiring import MachineClock, kafka_settings
from topics import Catalogue, load_catalogue, naming
from topics.errors import EXIT_CONFIG, OperatorError

_CLIENTS: Final[Mapping[str, Callable[[Destination], Client]]] = {
    "rest": RestClient,
    "soap": SoapDelivery,
}
"""By the kind of a destination; who pulls is not called."""


def configured(
    settings: Settings, catalogue: Catalogue
) -> tuple[Mapping[str, Destination], Mapping[str, Client]]:
    """The destinations that the settings name, and a client for each that is called.

    Raises:
        OperatorError: `destinations_missing`, `destinations_file_invalid`.
    """
    file = settings.delivery.destinations_file
    if file is None:
        raise OperatorError(
            "destinations_missing",
            what="there are no destinations to deliver to",
            fix="name their file (--destinations-file), see docs/delivery.md",
            exit_code=EXIT_CONFIG,
        )
    destinations = load_destinations(file, catalogue)
    return destinations, _clients(destinations, file)


def topics_of(destinations: Mapping[str, Destination], catalogue: Catalogue) -> list[str]:
    """Outbound of the contexts that some destination takes, and all receipts."""
    contexts = {context for one in destinations.values() for context in one.contexts}
    wanted = [n for n, spec in outbound_topics(catalogue).items() if spec.context in contexts]
    return [*wanted, *(naming.receipts(interface) for interface in catalogue.interfaces)]


def run_delivery(bootstrap: str, settings: Settings, slot: int, stopping: Event) -> None:
    """Deliver until `stopping` is set.

    Raises:
        FencedError: another process has this slot.
        EngineError: this process has to end; a new one goes on.
        OperatorError: the destinations file, the broker, or `port_in_use`.
    """
    catalogue = load_catalogue(settings.catalogue)
    destinations, clients = configured(settings, catalogue)
    kafka = kafka_settings(settings, bootstrap, catalogue)
    member, clock, telemetry = f"{NAME}-{slot}", MachineClock(), DeliveryLog()
    health = Health()
    server = _door(health, settings, slot)
    attempts = Attempts(clients, RecordReader(kafka, f"{member}-reader"), clock.epoch_ms)
    reader = TopicReader(kafka, f"{member}-restore")

    def fold(partitions: Iterable[TopicPartition]) -> Mapping[bytes, bytes]:
        return folded(reader, partitions)

    ledger = Ledger(
        Book(destinations, catalogue, telemetry),
        attempts,
        catalogue=catalogue,
        source=GroupSource(kafka, NAME, member),
        log=TransactionalProducer(kafka, member),
        fold=fold,
        telemetry=telemetry,
        clock=clock,
    )
    attempts.start()
    told = {"slot": slot, "pid": os.getpid(), "http": server.port}
    log(NAME, logging.INFO, "delivery started", **told)
    ledger.start(topics_of(destinations, catalogue))

    def turn() -> None:
        ledger.turn()
        health.turned(ready=ledger.ready)

    in_shifts(turn, stopping.is_set)
    ledger.stop()
    attempts.close()
    server.close()
    log(NAME, logging.INFO, "delivery stopped", slot=slot)


def _clients(destinations: Mapping[str, Destination], file: Path) -> Mapping[str, Client]:
    clients: dict[str, Client] = {}
    for name, destination in destinations.items():
        make = _CLIENTS.get(destination.kind)
        if make is None:
            continue
        try:
            clients[name] = make(destination)
        except (OSError, ValueError) as error:
            raise DestinationsFileError(
                file,
                f"destinations.{name}: {type(error).__name__} in a credential or certificate",
                "correct the files that it names",
            ) from error
    return clients


def _door(health: Health, settings: Settings, slot: int) -> HealthServer:
    wanted = settings.delivery.health_port
    port = wanted + slot if wanted else 0
    try:
        server = HealthServer(health, settings.http, port)
    except OSError as error:
        raise OperatorError(
            "port_in_use",
            what="the port of the health door cannot be had",
            where=f"{settings.http.host}:{port}",
            why=error.strerror or str(error),
            fix="set delivery.health_port (--health-port) to a free one",
            exit_code=EXIT_CONFIG,
        ) from error
    server.start()
    return server
