"""A port that does not answer, as one behind a security group that drops the SYN."""

from __future__ import annotations

import socket

_TRIES = 8


class DarkPort:
    """Bound but never accepting: with a full backlog the kernel drops each further SYN.

    On a system that refuses instead of dropping, clients see a reset or a hang after connecting.
    """

    def __init__(self, address: str, port: int) -> None:
        """Bind and fill the backlog. Raises OSError when the port is in use."""
        self._sockets = [socket.socket()]
        listening = self._sockets[0]
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(0)
        for _ in range(_TRIES):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((address, port))
            self._sockets.append(filler)

    def close(self) -> None:
        """Give the port back."""
        for sock in self._sockets:
            sock.close()
