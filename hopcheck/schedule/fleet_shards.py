"""Which shard a host belongs to: rendezvous hashing, the same on every machine (pure).

Each host goes to the shard whose hash with it is the highest. N shards partition the hosts, and
adding a shard moves only the hosts that it takes (about 1/N of them).
"""

from __future__ import annotations

import hashlib
import re

from msgspec import Struct

from hopcheck.catalogue import catalogue
from hopcheck.config.options import UsageError

_MOST = 1000


class Shard(Struct, frozen=True):
    """Shard `index` (from 0) of `count`."""

    index: int
    count: int

    def takes(self, host: str) -> bool:
        """Whether `host` is this shard's."""
        return shard_of(host, self.count) == self.index

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Read ``I/N`` with I from 0 to N-1, as an Indexed Job counts. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
    if match is None or not int(match[1]) < int(match[2]) <= _MOST:
        raise UsageError(catalogue.text("usage", "shard", value=text[:40], most=_MOST))
    return Shard(int(match[1]), int(match[2]))


def shard_of(host: str, count: int) -> int:
    """The shard of `host` among `count`."""
    return max(
        range(count),
        key=lambda index: (hashlib.sha256(f"{index} {host}".encode()).digest(), index),
    )
