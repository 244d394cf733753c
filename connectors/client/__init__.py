"""The client for applications: publish, request, subscribe over the gateway.

    from connectors.client import Client

    with Client("https://gateway:8443", source="OMS-1", key_file="oms-1.key") as client:
        client.create("I1", "Outages", payload)

Lives here: what an application imports. Must not live here: Kafka, the catalogue, the server.
Needs httpx and lxml.
"""

from connectors.client.aio import AsyncClient
from connectors.client.client import Client
from connectors.client.errors import (
    ClientError,
    ConflictError,
    ExpiredError,
    NoReplyError,
    NotAllowedError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from connectors.client.mapping import Event, Receipt, Reply

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "ConflictError",
    "Event",
    "ExpiredError",
    "NoReplyError",
    "NotAllowedError",
    "NotFoundError",
    "Receipt",
    "RefusedError",
    "Reply",
    "UnavailableError",
]
