"""Real health checks, and each target's state in AWS's words."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hopcheck.lab.cloud import model, proxy_protocol
from hopcheck.lab.cloud.model import Target, TargetGroup, TargetState

if TYPE_CHECKING:
    from hopcheck.lab.cloud.cloud import Cloud

THRESHOLD = 2  # checks in a row that change a state; the API reports the group's own settings


@dataclass
class Record:
    """What the checks of one target have shown so far.

    `refuses` and `silent`: the port that traffic goes to refuses connections, or drops them,
    whatever port is checked.
    """

    state: TargetState = model.REGISTERING
    last: TargetState | None = None
    streak: int = 0
    refuses: bool = False
    silent: bool = False

    def note(self, outcome: TargetState) -> None:
        """Count one check; the state changes after `THRESHOLD` equal outcomes.

        A target that was just registered is healthy with the first check that it passes.
        """
        same = self.last is not None and self.last.state == outcome.state
        self.streak = self.streak + 1 if same else 1
        self.last = outcome
        passed = self.state.state == "initial" and outcome is model.HEALTHY
        if self.streak >= THRESHOLD or passed:
            self.state = outcome
        elif self.state.state == "initial":
            self.state = model.CHECKING


class Health:
    """The health checker of all target groups in use."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._records: dict[tuple[str, str, int], Record] = {}
        self._turn = asyncio.Lock()

    def state(self, group: TargetGroup, target: Target) -> TargetState:
        """The state that the API reports and that routing goes by."""
        if target.forced is not None:
            return target.forced
        if target.draining:
            return model.DRAINING
        balancers = self._cloud.balancers_of(group.name)
        if not balancers:
            return model.NOT_IN_USE
        if group.target_type == "instance":
            stopped = self._cloud.instance_state(target.id)
            if stopped in {"stopping", "stopped", "shutting-down", "terminated"}:
                return model.invalid_state(stopped)
        zone = self._cloud.zone_of(group, target)
        if zone is not None and not any(balancer.zone(zone) for balancer in balancers):
            return model.ZONE_DISABLED
        record = self._records.get((group.name, target.id, target.port))
        return model.REGISTERING if record is None else record.state

    async def round(self) -> None:
        """Check every target in use once, all at the same time."""
        async with self._turn:
            due = [
                (group, target)
                for group in self._cloud.target_groups.values()
                if self._cloud.balancers_of(group.name)
                for target in group.targets
            ]
            keys = {(group.name, target.id, target.port) for group, target in due}
            self._records = {key: self._records.get(key, Record()) for key in keys}
            outcomes = await asyncio.gather(*(self._check(*pair) for pair in due))
            tried = await asyncio.gather(
                *(self._try(*pair, outcome) for pair, outcome in zip(due, outcomes, strict=True))
            )
            for (group, target), outcome, seen in zip(due, outcomes, tried, strict=True):
                record = self._records.get((group.name, target.id, target.port))
                if record is not None:  # else it was given another port meanwhile
                    record.note(outcome)
                    record.refuses, record.silent = seen == "refused", seen == "silent"

    async def settle(self) -> None:
        """Check now, round by round, until each state is what the checks show.

        Raises TimeoutError when a target still flaps after ten rounds.
        """
        for record in self._records.values():
            record.streak = 0
            record.last = None
        for _ in range(10):
            await self.round()
            if all(record.streak >= THRESHOLD for record in self._records.values()):
                return
        raise TimeoutError("a target's health does not settle")

    def refuses(self, group: TargetGroup, target: Target) -> bool:
        """Whether the target refused when its traffic port was last tried."""
        record = self._records.get((group.name, target.id, target.port))
        return record is not None and record.refuses

    def silent(self, group: TargetGroup, target: Target) -> bool:
        """Whether the target did not answer at all when its traffic port was last tried."""
        record = self._records.get((group.name, target.id, target.port))
        return record is not None and record.silent

    async def _try(self, group: TargetGroup, target: Target, outcome: TargetState) -> str:
        """Try the traffic port of a target that failed its check: "refused", "silent" or ""."""
        place = self._cloud.place(group, target, target.port)
        if outcome.state == "healthy" or place is None:
            return ""
        if not self._cloud.target_admits(group, target, target.port, None):
            return "silent"
        try:
            async with asyncio.timeout(self._cloud.check_timeout):
                _, writer = await asyncio.open_connection(*place)
        except ConnectionRefusedError:
            return "refused"
        except TimeoutError:
            return "silent"
        except OSError:
            return ""
        writer.close()
        return ""

    async def _check(self, group: TargetGroup, target: Target) -> TargetState:
        """One check: healthy, or the state that enough of such checks lead to."""
        port = target.port if group.check.port == "traffic-port" else int(group.check.port)
        place = self._cloud.place(group, target, port)
        if place is None or not self._cloud.target_admits(group, target, port, None):
            outcome = model.TIMED_OUT
        else:
            try:
                async with asyncio.timeout(self._cloud.check_timeout):
                    outcome = await _ask(group, *place, host=self._cloud.check_host(group, place))
            except TimeoutError:
                outcome = model.TIMED_OUT
            except (OSError, asyncio.IncompleteReadError, ValueError):
                outcome = model.FAILED
        if outcome is not model.HEALTHY and group.protocol not in model.LAYER_7:
            # An NLB has one reason for them all (ELBv2 API reference, TargetHealth).
            return model.FAILED
        return outcome


async def _ask(group: TargetGroup, address: str, port: int, host: str) -> TargetState:
    check, tls = group.check, None
    if check.protocol == "HTTPS":
        tls = TARGET_TLS if group.protocol in model.LAYER_7 else _CHECK_TLS
    # The PROXY header precedes TLS, so that an HTTPS check cannot carry one here.
    reader, writer = await asyncio.open_connection(address, port, ssl=tls)
    try:
        if tls is None and group.all_attributes().get("proxy_protocol_v2.enabled") == "true":
            writer.write(proxy_protocol.local_header())
        if check.protocol == "TCP":
            return model.HEALTHY
        writer.write(
            f"GET {check.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n"
            "User-Agent: ELB-HealthChecker/2.0\r\n"
            "Accept-Encoding: gzip, compressed\r\n\r\n".encode()
        )
        await writer.drain()
        line = (await reader.readuntil(b"\n")).split()
        if len(line) < 2 or not line[0].startswith(b"HTTP/"):
            return model.FAILED
        status = int(line[1])
        return model.HEALTHY if matches(check.matcher, status) else model.code_mismatch(status)
    finally:
        writer.close()


def _trusting() -> ssl.SSLContext:
    """A client context that verifies nothing: load balancers do not verify their targets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


TARGET_TLS = _trusting()
# A Network Load Balancer's HTTPS checks know no TLS 1.3.
_CHECK_TLS = _trusting()
_CHECK_TLS.maximum_version = ssl.TLSVersion.TLSv1_2


def matches(matcher: str, status: int) -> bool:
    """Whether `status` is among a matcher such as ``200-299,404``."""
    for part in matcher.split(","):
        low, _, high = part.strip().partition("-")
        if int(low) <= status <= int(high or low):
            return True
    return False
