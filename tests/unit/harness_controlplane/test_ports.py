"""A reserved port refuses clients, cannot be taken by others, and can be shared by the server it is meant for."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.harness.controlplane.ports import LOOPBACK, Reservation


@contextmanager
def a_server(port: int, *, shares: bool) -> Iterator[socket.socket]:
    """A socket that listens on the port, as kube-apiserver and etcd do when told to share it."""
    with socket.socket() as server:
        if shares:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((LOOPBACK, port))
        server.listen()
        yield server


def test_the_port_cannot_be_taken_when_it_is_reserved() -> None:
    with Reservation() as held, pytest.raises(OSError, match="in use"), a_server(held.port, shares=False):
        pass


def test_every_client_reaches_the_server_when_it_shares_the_port() -> None:
    with Reservation() as held, a_server(held.port, shares=True) as server:
        for _ in range(50):
            with socket.create_connection((LOOPBACK, held.port)), server.accept()[0]:
                pass
