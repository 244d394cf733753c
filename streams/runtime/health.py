"""The worker's HTTP door for machines: /metrics, /health/live, /health/ready.

Live: the loop turned lately. Ready: the group has spoken and no partition restores. Bound
to loopback unless told otherwise, then with TLS; nothing personal is served.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from streams.runtime.metrics import REGISTRY
from streams.runtime.settings import Http

# A turn lasts at most as long as its slowest bounded call: a transactional request (10 s)
# with a rewind behind it (20 s). Twice that is dead.
LIVE_WITHIN_S: Final = 60.0
# A prober asks in one go.
_SILENT_S: Final = 10.0


class Health:
    """What the loop tells and the server asks. Written by one thread, read by others."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turned_at = clock()
        self._ready = False

    def turned(self, *, ready: bool) -> None:
        """The loop has turned once more."""
        self._turned_at = self._clock()
        self._ready = ready

    @property
    def live(self) -> bool:
        """Whether the loop turned within `LIVE_WITHIN_S`."""
        return self._clock() - self._turned_at < LIVE_WITHIN_S

    @property
    def ready(self) -> bool:
        """Whether it is live and every assigned partition runs."""
        return self.live and self._ready


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """One that hangs up, or that speaks no TLS, is not news."""


class HealthServer:
    """Serves `health` and the metrics on a thread of its own."""

    def __init__(self, health: Health, at: Http, port: int) -> None:
        """Bind at once. `port` 0 takes a free one; `at.port` does not count.

        Raises:
            OSError: the address is in use or not ours, or the certificate is none.
        """
        self._server = _Server((at.host, port), _handler(health))
        if at.certificate_file:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(at.certificate_file, at.key_file)
            # The handshake is the connection's own thread's: one that goes silent in the middle
            # of it holds up nobody.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )

    @property
    def port(self) -> int:
        """The port that is served."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to serve."""
        Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _handler(health: Health) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _SILENT_S

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)
            elif self.path == "/health/live":
                self._say(health.live, "live", "the loop does not turn")
            elif self.path == "/health/ready":
                self._say(health.ready, "ready", "not assigned yet, or restoring")
            else:
                self._answer(404, b"/metrics, /health/live, /health/ready\n", "text/plain")

        def _say(self, good: bool, yes: str, no: str) -> None:
            self._answer(200 if good else 503, f"{yes if good else no}\n".encode(), "text/plain")

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Probes are not news."""

    return Handler
