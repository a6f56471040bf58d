"""Clients that ask slowly, never, or all at once. No test waits for a time to pass: the clock is made up."""

import socket
import threading
from urllib.request import urlopen

import pytest

from audiocodec.adaptation.dashboard.server import MAX_CLIENTS, MAX_SECONDS, MetricsServer


def answer(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"metrics"]


@pytest.fixture
def now():
    """Seconds of the clock, in a list."""
    return [0.0]


@pytest.fixture
def server(now):
    server = MetricsServer("127.0.0.1", 0, answer, lambda: now[0])
    thread = server.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def connect(server, said=b""):
    client = socket.create_connection(("127.0.0.1", server.server_port), timeout=60)
    client.sendall(said)
    return client


def until(condition):
    waiting = threading.Event()
    while not condition():
        waiting.wait(0.01)


def read_all(client):
    """All until the other side closes; nothing when it broke off."""
    told = b""
    try:
        while part := client.recv(4096):
            told += part
    except ConnectionError:
        pass
    return told


def get(server):
    return urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=60).read()


def test_only_so_many_are_served_at_once(server):
    slow = [connect(server, b"GET /met") for _ in range(MAX_CLIENTS)]
    until(lambda: server.clients == MAX_CLIENTS)
    threads = threading.active_count()
    more = [connect(server) for _ in range(20)]
    assert [read_all(client)[:12] for client in more] == [b"HTTP/1.0 503"] * 20
    assert server.clients == MAX_CLIENTS
    assert threading.active_count() <= threads
    slow[0].sendall(b"rics HTTP/1.0\r\n\r\n")
    assert read_all(slow[0]).endswith(b"metrics")
    until(lambda: server.clients < MAX_CLIENTS)
    assert get(server) == b"metrics"
    for client in (*slow, *more):
        client.close()


def test_slow_clients_are_cut_off_and_make_room(server, now):
    slow = [connect(server, b"GET /metrics HTTP/1.0\r\nX: ") for _ in range(MAX_CLIENTS)]
    until(lambda: server.clients == MAX_CLIENTS)
    now[0] = MAX_SECONDS
    slow[0].sendall(b"x")  # what comes byte by byte counts from its start as well
    now[0] += 0.5
    assert [read_all(client) for client in slow] == [b""] * MAX_CLIENTS
    until(lambda: not server.clients)
    assert get(server) == b"metrics"
    for client in slow:
        client.close()


def test_clients_that_go_away_leave_nothing_on_stderr(server, capfd):
    for said in (b"", b"GET", b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 70_000):
        client = connect(server, said)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, no end
        client.close()
    until(lambda: not server.clients)
    assert get(server) == b"metrics"
    assert capfd.readouterr().err == ""
