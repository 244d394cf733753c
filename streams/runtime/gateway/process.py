"""The process of one gateway slot: an HTTP server on a shared port, the doors behind it.

Lives here: wiring, the socket, TLS, starting and stopping. Must not live here: what a door does
with a request, what the exchange does with a call.

Every slot listens on the same port (SO_REUSEPORT) and the kernel spreads connections over them; a
slot that is killed takes only its own connections with it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import ssl
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final, NamedTuple

import uvicorn
import uvloop
from prometheus_client import Counter
from starlette.types import ASGIApp

from connectors.access import Access, Gatekeeper
from connectors.destinations import load_destinations
from connectors.http import Entrance
from connectors.rest.config import RestLimits
from connectors.rest.events import EventDoor
from connectors.rest.outbound import OutboundRoutes
from connectors.rest.server import RestDoor
from connectors.soap.config import SoapLimits
from connectors.soap.credentials import Credentials
from connectors.soap.nonces import Nonces
from connectors.soap.security import Security
from connectors.soap.server import SoapDoor
from streams.engine.errors import FatalError
from streams.runtime import metrics
from streams.runtime.gateway.admission import Admission
from streams.runtime.gateway.exchange import KafkaExchange
from streams.runtime.gateway.outbox import KafkaOutbox
from streams.runtime.gateway.protocol import guarded
from streams.runtime.gateway.queries import ViewQueries
from streams.runtime.gateway.replies import Fate
from streams.runtime.gateway.subscriptions import KafkaSubscriptions
from streams.runtime.health import Health, HealthServer
from streams.runtime.logs import log
from streams.runtime.settings import Gateway, Settings
from streams.runtime.wiring import kafka_settings
from topics import Catalogue, load_catalogue

# The supervisor gives a process 20 s to end. Open calls may still get their replies for 3 s, then
# they are told to ask again; connections have 12 s to take their answers, the producer 5 s.
_GRACE_S: Final = 3.0
_END_S: Final = 12
_KEEP_ALIVE_S: Final = 30
_BEAT_S: Final = 1.0
_BACKLOG: Final = 2048


class _Server(uvicorn.Server):
    """Tells when it can be reached; ends open calls before it waits for open connections."""

    def __init__(
        self,
        config: uvicorn.Config,
        exchange: KafkaExchange,
        subscriptions: KafkaSubscriptions,
        started: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._exchange = exchange
        self._subscriptions = subscriptions
        self._tell_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        self._tell_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, let what is open come to its end; subscribers come back elsewhere."""
        self._subscriptions.let_go()
        asyncio.get_running_loop().call_later(_GRACE_S, self._exchange.let_go)
        await super().shutdown(sockets)


def run_gateway(bootstrap: str, settings: Settings, slot: int) -> None:
    """Serve until SIGTERM.

    Raises:
        OperatorError: the access file, the certificate or the broker.
        FatalError: the exchange broke; a new process has a new one.
        OSError: a port is in use.
    """
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # Their lines could hold what a client sent.
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    uvloop.run(_serve(bootstrap, settings, slot))
    log("gateway", logging.INFO, "gateway stopped", slot=slot)


class _Behind(NamedTuple):
    """What works between the doors and Kafka; without one of them there is no gateway."""

    exchange: KafkaExchange
    subscriptions: KafkaSubscriptions
    outbox: KafkaOutbox | None

    @property
    def ready(self) -> bool:
        return self.exchange.ready and (self.outbox is None or self.outbox.ready)

    @property
    def broken(self) -> bool:
        gone = self.exchange.broken or self.subscriptions.broken
        return gone or (self.outbox is not None and self.outbox.broken)

    async def stop(self) -> None:
        await self.subscriptions.stop()
        if self.outbox is not None:
            await self.outbox.stop()
        await self.exchange.stop()


async def _serve(bootstrap: str, settings: Settings, slot: int) -> None:
    catalogue = load_catalogue(settings.catalogue)
    wanted = settings.gateway
    admission = Admission(wanted.access_file, catalogue, _check_files)
    listening = listen(wanted.host, wanted.port)
    health = Health()
    port = wanted.health_port + slot if wanted.health_port else 0
    probes = HealthServer(health, settings.http, port)
    probes.start()
    exchange = KafkaExchange(
        kafka_settings(settings, bootstrap, catalogue),
        catalogue,
        f"gateway-{slot}",
        timeout_s=wanted.send_timeout_s,
        count=_count,
    )
    await exchange.start()
    outbox = _outbox(settings, bootstrap, catalogue, exchange, slot)
    if outbox is not None:
        outbox.start()
    await admission.tend()
    gatekeeper = admission.gatekeeper
    queries = ViewQueries(settings.views, catalogue, timeout_s=wanted.query_timeout_s)
    subscriptions = KafkaSubscriptions(
        kafka_settings(settings, bootstrap, catalogue),
        f"gateway-{slot}",
        timeout_s=wanted.send_timeout_s,
    )
    limits = _limits(wanted)
    events = EventDoor(catalogue, subscriptions, limits, _hand)
    door = RestDoor(catalogue, exchange, gatekeeper, limits, _observe, queries, events)
    soap = _soap(catalogue, exchange, door.entrance, gatekeeper, settings)
    # The catalogue and all modules stay: looking through them again and again took a twentieth of
    # the time of a message.
    gc.freeze()
    metrics.GATEWAY_SUBSCRIPTIONS.set_function(lambda: events.open_subscriptions)
    metrics.GATEWAY_OPEN.set_function(lambda: door.entrance.open_requests)
    told = {"slot": slot, "pid": os.getpid(), "http": probes.port}
    started = partial(log, "gateway", logging.INFO, "gateway started", **told, port=wanted.port)
    pulling = OutboundRoutes(outbox, door.entrance, limits).routes() if outbox else []
    application = door.application(*soap.routes(), *pulling)
    server = _Server(server_config(application, wanted), exchange, subscriptions, started)

    behind = _Behind(exchange, subscriptions, outbox)
    beating = asyncio.create_task(_beat(health, behind, server))
    admitting = asyncio.create_task(admission.keep())
    try:
        await server.serve([listening])
        ended_by_itself = behind.broken
    finally:
        beating.cancel()
        admitting.cancel()
        await behind.stop()
        await queries.stop()
        probes.close()
    if ended_by_itself:
        raise FatalError("the exchange with Kafka broke")


def _check_files(access: Access) -> None:
    """Refuse an access file that names files which cannot be used.

    Raises:
        CredentialFileError: naming one.
    """
    Credentials(access.sources)


def _soap(
    catalogue: Catalogue,
    exchange: KafkaExchange,
    entrance: Entrance,
    gatekeeper: Gatekeeper,
    settings: Settings,
) -> SoapDoor:
    """The SOAP door, through the same entrance."""
    limits = SoapLimits(
        wait_s=settings.gateway.wait_s,
        window_s=settings.soap.window_s,
        public_url=settings.soap.public_url,
        tls_elsewhere=settings.gateway.tls_elsewhere,
    )
    security = Security(gatekeeper, Nonces(settings.soap.nonce_file), limits)
    return SoapDoor(catalogue, exchange, entrance, security, limits)


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address, which other slots can bind too. `port` 0 takes a free one.

    Raises:
        OSError: the address is not ours, or somebody else's.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listening.bind(address)
    return listening


def server_config(application: ASGIApp, wanted: Gateway) -> uvicorn.Config:
    """How the gateway speaks HTTP and TLS."""
    tls: dict[str, Any] = {}
    if wanted.certificate_file and wanted.key_file:
        tls = {"ssl_certfile": wanted.certificate_file, "ssl_keyfile": wanted.key_file}
    if wanted.client_ca_file:
        required = wanted.client_certificates == "required"
        asked = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
        tls |= {"ssl_ca_certs": wanted.client_ca_file, "ssl_cert_reqs": asked}
    return uvicorn.Config(
        application,
        http=guarded(wanted.head_timeout_s, wanted.unread_timeout_s),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_END_S,
        **tls,
    )


def _outbox(
    settings: Settings,
    bootstrap: str,
    catalogue: Catalogue,
    exchange: KafkaExchange,
    slot: int,
) -> KafkaOutbox | None:
    """For the destinations that pull; None where there is no file of destinations."""
    file = settings.delivery.destinations_file
    if file is None:
        return None
    destinations = load_destinations(file, catalogue)
    kafka = kafka_settings(settings, bootstrap, catalogue)
    return KafkaOutbox(kafka, catalogue, destinations, exchange.write, f"gateway-{slot}")


async def _beat(health: Health, behind: _Behind, server: uvicorn.Server) -> None:
    """Tell the probes that the loop turns; end the server that has nothing behind it any more."""
    while not behind.broken:
        health.turned(ready=behind.ready)
        await asyncio.sleep(_BEAT_S)
    server.should_exit = True


def _limits(wanted: Gateway) -> RestLimits:
    return RestLimits(
        wait_s=wanted.wait_s,
        wait_max_s=wanted.wait_max_s,
        body_s=wanted.body_timeout_s,
        requests_max=wanted.requests_max,
        subscriptions_max=wanted.subscriptions_max,
        subscriptions_per_source=wanted.subscriptions_per_source,
        heartbeat_s=wanted.heartbeat_s,
    )


def _hand(interface: str, events: int) -> None:
    metrics.GATEWAY_EVENTS.labels(interface).inc(events)


def _observe(interface: str, outcome: str, seconds: float) -> None:
    _requests(interface, outcome).inc()
    metrics.GATEWAY_SECONDS.observe(seconds)


@cache
def _requests(interface: str, outcome: str) -> Counter:
    """The library looks a label up under a lock, by texts that it makes anew each time."""
    return metrics.GATEWAY_REQUESTS.labels(interface, outcome)


def _count(fate: Fate) -> None:
    metrics.GATEWAY_REPLIES.labels(fate.value).inc()
