"""Loopback addresses and free ports for one lab.

On Linux every address of 127.0.0.0/8 can be bound without set-up, so each lab takes a random
block 127.X.Y.0/24 and several labs run at once with the page's own ports. Where only 127.0.0.1
can be bound (macOS) every party shares that address and gets ports of its own.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable

_LOCK_PORT = 20020  # below every ephemeral range
_NODE_PORTS = range(30000, 32768)  # kube-apiserver's default --service-node-port-range


def can_bind(address: str, port: int) -> bool:
    """Whether a TCP listener could be opened on `address`:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(address: str) -> int:
    """A TCP port that is free on `address` now."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
    return port


class Addresses:
    """The block of one lab, held until `close()`.

    `single` is true where there is only 127.0.0.1. `host(n)` is the block's n-th address.
    """

    def __init__(self, *, single: bool | None = None) -> None:
        self.single = not can_bind("127.66.1.2", 0) if single is None else single
        self._lock: socket.socket | None = None
        self._taken: set[tuple[str, int]] = set()
        self._prefix = "" if self.single else self._reserve()

    def _reserve(self) -> str:
        """Take a block by holding a datagram socket on its first address.

        Raises OSError when no block could be had in 200 draws.
        """
        for _ in range(200):
            prefix = f"127.{random.randint(64, 250)}.{random.randint(1, 250)}"  # noqa: S311
            lock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                lock.bind((f"{prefix}.1", _LOCK_PORT))
            except OSError:
                lock.close()
                continue
            self._lock = lock
            return prefix
        raise OSError("no free block of loopback addresses")

    def host(self, number: int) -> str:
        """The block's address `number` (2 to 254); 127.0.0.1 where that is the only one."""
        return "127.0.0.1" if self.single else f"{self._prefix}.{number}"

    def port(self, address: str, preferred: int) -> int:
        """`preferred` where it is free on `address`, else another free port; never one twice."""
        port = preferred
        while (address, port) in self._taken or not can_bind(address, port):
            port = free_port(address)
        self._taken.add((address, port))
        return port

    def common_port(self, addresses: Iterable[str], preferred: int) -> int:
        """One port that is free on all of `addresses`, `preferred` if possible."""
        hosts = set(addresses)
        for port in (preferred, *random.sample(_NODE_PORTS, 200)):
            if all((host, port) not in self._taken and can_bind(host, port) for host in hosts):
                self._taken.update((host, port) for host in hosts)
                return port
        raise OSError(f"no port is free on all of {sorted(hosts)}")

    def close(self) -> None:
        """Give the block back."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None
