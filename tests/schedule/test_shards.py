"""Shards partition the hosts, always in the same way."""

import pytest

from hopcheck.config.options import UsageError
from hopcheck.schedule.fleet_model import Shard, parse_shard, shard_of

HOSTS = [f"app-{n}.example.com" for n in range(1000)]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_shards_partition_the_hosts(count: int) -> None:
    taken = [[h for h in HOSTS if Shard(i, count).takes(h)] for i in range(count)]
    assert sorted(host for shard in taken for host in shard) == sorted(HOSTS)
    assert min(map(len, taken)) > 1000 / count * 0.7


def test_a_further_shard_moves_only_what_it_takes() -> None:
    before = {host: shard_of(host, 4) for host in HOSTS}
    after = {host: shard_of(host, 5) for host in HOSTS}
    moved = [host for host in HOSTS if before[host] != after[host]]
    assert all(after[host] == 4 for host in moved)
    assert 100 < len(moved) < 300


def test_the_assignment_never_changes() -> None:
    # Shards of one run may be of different releases.
    assert [shard_of(host, 4) for host in HOSTS[:8]] == [0, 0, 1, 1, 1, 1, 1, 2]


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "0/0", "0/1001", "a/b"])
def test_bad_shards(text: str) -> None:
    with pytest.raises(UsageError, match="I/N"):
        parse_shard(text)


def test_good_shard() -> None:
    assert parse_shard("3/4") == Shard(3, 4)
