"""Which real port stands for a listener's port: 443 cannot be bound without root."""

from __future__ import annotations

import random
import socket

UNPRIVILEGED = 1024
# Below the ports that systems hand out for outgoing connections, and below the nodePorts.
_FIRST, _LAST = 10_000, 29_999


def bindable(address: str, port: int) -> bool:
    """Whether `port` is free on `address` now."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address, port))
        except OSError:
            return False
    return True


class Ports:
    """Remembers each choice, so that a listener comes back on the port it had."""

    def __init__(self) -> None:
        self._chosen: dict[tuple[str, str, int], int] = {}
        self._common: dict[int, list[int]] = {}
        self._random = random.SystemRandom()

    def known(self) -> list[tuple[str, str, int]]:
        """Load balancer, address and port of each choice."""
        return list(self._chosen)

    def real(self, balancer: str, address: str, port: int) -> int:
        """The port bound for `port`: the same one on every address where it is free there.

        Raises OSError when no free port is found.
        """
        key = (balancer, address, port)
        if key not in self._chosen:
            taken = {real for (_, where, _), real in self._chosen.items() if where == address}
            self._chosen[key] = self._choose(address, port, taken)
        return self._chosen[key]

    def _choose(self, address: str, port: int, taken: set[int]) -> int:
        common = self._common.setdefault(port, [])
        wanted = [*([port] if port >= UNPRIVILEGED else []), *common]
        reserved = taken.union(*self._common.values())
        drawn = self._random.sample(range(_FIRST, _LAST + 1), 50)
        wanted += [candidate for candidate in drawn if candidate not in reserved]
        for candidate in wanted:
            if candidate not in taken and bindable(address, candidate):
                if candidate not in common:
                    common.append(candidate)
                return candidate
        raise OSError(f"no free port on {address}")
