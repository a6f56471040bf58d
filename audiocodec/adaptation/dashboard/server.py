"""An HTTP server that stays up whatever clients do: few at a time, each for a limited time."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

MAX_CLIENTS = 16
"""Clients served at once, by a thread each; others get status 503."""
MAX_SECONDS = 10.0
"""Seconds for one request and its answer."""
POLL_SECONDS = 0.25
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 10\r\nContent-Length: 0\r\n\r\n"


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


class MetricsServer(ThreadingMixIn, WSGIServer):
    """Answers at `host`:`port`; `shutdown` ends it."""

    daemon_threads = True

    def __init__(
        self, host: str, port: int, application: Any, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open the port; `clock` gives seconds.

        Raises:
            OSError, OverflowError: it cannot be opened.
        """
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = addresses[0][0]
        self._clock = clock
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, float] = {}
        super().__init__(cast("tuple[str, int]", addresses[0][4][:2]), _Handler)
        self.set_app(application)

    def start(self) -> threading.Thread:
        """Serve in a thread of its own."""
        thread = threading.Thread(target=self.serve_forever, args=(POLL_SECONDS,), daemon=True)
        thread.start()
        return thread

    @property
    def clients(self) -> int:
        """Number of clients that are being served."""
        with self._lock:
            return len(self._clients)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a client, or tell it that there are too many."""
        with self._lock:
            free = len(self._clients) < MAX_CLIENTS
            if free:
                self._clients[request] = self._clock()
        if free:
            super().process_request(request, client_address)
            return
        with suppress(OSError):  # it does not listen
            request.setblocking(False)
            request.send(_BUSY)
        self.shutdown_request(request)

    def close_request(self, request: Any) -> None:
        """Close a connection, which makes room for another."""
        with self._lock:
            self._clients.pop(request, None)
        super().close_request(request)

    def service_actions(self) -> None:
        """Cut off clients that have used up their time."""
        super().service_actions()
        with self._lock:
            for client, since in self._clients.items():
                if self._clock() - since > MAX_SECONDS:
                    with suppress(OSError):  # it has gone
                        client.shutdown(socket.SHUT_RDWR)  # ends the wait of its thread, which then closes it

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
