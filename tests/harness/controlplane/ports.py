"""Loopback ports that stay ours for as long as a control plane lives.

A port that is found free and then let go can be taken by another program before the server binds it. Here the port
stays bound (never listening) with SO_REUSEPORT, and kube-apiserver and etcd are told to share it: nobody else can take
it, and while the server is down a client is refused at once, as in a real outage.
"""

import socket
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"


class Reservation:
    """One TCP port of the loopback address, held until `close`.

    Raises OSError from the constructor when the system has no port left.
    """

    def __init__(self) -> None:
        """Bind a free port without listening on it."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            self._socket.bind((LOOPBACK, 0))
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give the port back; a second call does nothing."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Hold the port inside a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the port back."""
        self.close()
