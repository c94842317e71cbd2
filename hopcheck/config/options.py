"""The options of a run, read in one place (cli, pytest options or configuration file)."""

from __future__ import annotations

from msgspec import Struct

from hopcheck.model import Target


class ConnectTo(Struct, frozen=True):
    """curl's ``--connect-to HOST:PORT:ADDR:PORT``; None matches or keeps anything."""

    host: str | None = None
    port: int | None = None
    to_host: str | None = None
    to_port: int | None = None

    def applies(self, host: str, address: str, port: int) -> bool:
        """Whether a connection to `host` (resolved to `address`) on `port` is redirected."""
        return self.host in (None, host, address) and self.port in (None, port)


class Options(Struct, frozen=True):
    """Everything a run can be told. Times are seconds."""

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    traefik_service: str | None = None  # "NS/NAME"
    resolvers: tuple[str, ...] = ()  # "ADDR" or "ADDR:PORT"; empty: the system's
    connect_to: tuple[ConnectTo, ...] = ()
    ca_file: str | None = None
    timeout: float = 5.0
    deadline: float = 30.0
    direct_probes: bool | None = None  # None: only in the cluster
    skip: tuple[str, ...] = ()  # "CODE" or "CODE=object" (hopcheck.verdict.skipping)
    require_steps: tuple[str, ...] = ()
    strict: bool = False
    redact_strict: bool = False
    secrets: bool = True  # ask for the metadata of Secrets that routes name, where allowed
    aws_profile: str | None = None
    aws_region: str | None = None
    owner: str | None = None
    checks: tuple[str, ...] = ()  # directories of the user's own checks

    def connection(self, host: str, address: str, port: int) -> tuple[str, int]:
        """The (address or name, port) to connect to for `host` resolved to `address`."""
        for rule in self.connect_to:
            if rule.applies(host, address, port):
                return rule.to_host or address, rule.to_port or port
        return address, port


KEEP_RUNS = 100


KEEP_DAYS = 30


class HostRun(Struct, frozen=True):
    """One host to diagnose, with the options that hold for it."""

    target: Target
    options: Options
    reports: str
    keep_runs: int = KEEP_RUNS  # run directories of a host; 0: no limit
    keep_days: int = KEEP_DAYS  # 0: no limit
    base_url: str | None = None  # where the reports directory is served
