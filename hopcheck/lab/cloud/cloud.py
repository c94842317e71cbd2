"""The lab's AWS account: the model, what carries its traffic, and its APIs."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hopcheck.lab.cloud import firewall, model
from hopcheck.lab.cloud.api import Api
from hopcheck.lab.cloud.dataplane import DataPlane
from hopcheck.lab.cloud.health import Health
from hopcheck.lab.cloud.model import Action, LoadBalancer, Target, TargetGroup

# States of targets that may get a connection: healthy ones, and where there is none, the others.
_ROUTABLE = frozenset({"healthy", "initial", "unhealthy", "unavailable"})
_LOG = logging.getLogger(__name__)


@dataclass
class Saved:
    """A copy of everything that a fault may edit."""

    state: dict[str, Any]


class Cloud:
    """Load balancers on loopback addresses, and the AWS APIs that describe them.

    Edit `load_balancers`, `target_groups` and the other public attributes freely; the APIs show
    it at once, and listeners and health follow within `check_interval`, or when `settle()`
    returns.
    """

    _EDITABLE = (
        "load_balancers",
        "target_groups",
        "security_groups",
        "network_interfaces",
        "instances",
        "denied",
        "health_unavailable",
        "delay",
        "throttle",
        "credentials",
        "enforce_security_groups",
        "dark",
        "hidden",
    )

    def __init__(
        self,
        resolve: Callable[[str], str | None] = lambda _instance: None,
        *,
        dial: Callable[[str, int], tuple[str, int]] = lambda address, port: (address, port),
        api_address: str = "127.0.0.1",
        region: str = "ap-northeast-2",
        check_interval: float = 0.3,
    ) -> None:
        """Make an empty account; nothing runs before `start`.

        `resolve` gives an instance's address, or None where its description does. `dial` says
        where an address and port really are, for systems on which all share one address.
        """
        self.account = "123456789012"
        self.region = region
        self.caller_arn = f"arn:aws:iam::{self.account}:user/oncall"
        self.api_address = api_address
        self.load_balancers: dict[str, LoadBalancer] = {}
        self.target_groups: dict[str, TargetGroup] = {}
        self.security_groups: list[dict[str, Any]] = []
        self.network_interfaces: list[dict[str, Any]] = []
        self.instances: list[dict[str, Any]] = []
        self.delay = 0.0
        self.denied: set[str] = set()
        self.throttle = 0
        self.throttle_code = "Throttling"
        self.credentials: Literal["valid", "expired", "invalid"] = "valid"
        self.health_unavailable: set[str] = set()
        self.enforce_security_groups = False
        self.dark: set[str] = set()  # load balancers' addresses at which packets are lost
        self.hidden: set[str] = set()  # load balancers that carry traffic for another account
        self.client_address = "127.0.0.1"  # whose connections the security groups judge
        self.requests: list[str] = []
        self.check_interval = check_interval
        self.check_timeout = 1.0
        self.connect_timeout = 10.0
        self.idle_timeout = 60.0
        self.health = Health(self)
        self._dial = dial
        self._resolve = resolve
        self._turns: Counter[str] = Counter()
        self._api = Api(self)
        self._data = DataPlane(self)
        self._loop: asyncio.Task[None] | None = None

    # --- life ------------------------------------------------------------------------------

    @property
    def endpoint(self) -> str:
        """The URL of all APIs (AWS_ENDPOINT_URL); empty before `start`."""
        return self._api.endpoint

    async def start(self) -> None:
        """Open the APIs and the listeners and begin to check targets. Raises OSError."""
        await self._api.start()
        await self._data.reconcile()
        self._loop = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End everything; connections are reset."""
        if self._loop is not None:
            self._loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._loop
            self._loop = None
        await self._data.stop()
        await self._api.stop()

    async def settle(self) -> None:
        """Make listeners and target health follow the model now, without waiting for a turn.

        Raises TimeoutError when a target's health flaps, OSError when a port cannot be bound.
        """
        await self._data.reconcile()  # targets that are ALBs of this account need their listeners
        await self.health.settle()
        await self._data.reconcile()  # an NLB without usable targets refuses

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.check_interval)
            try:
                await self._data.reconcile()
            except OSError as error:  # a port is taken: the next turn tries again
                _LOG.warning("a listener could not be opened: %s", error)
            await self.health.round()

    def add(self, *items: LoadBalancer | TargetGroup) -> None:
        """Put load balancers and target groups under their names."""
        for item in items:
            if isinstance(item, LoadBalancer):
                self.load_balancers[item.name] = item
            else:
                self.target_groups[item.name] = item

    def save(self) -> Saved:
        """A copy of what faults edit, for `restore`."""
        return Saved({name: copy.deepcopy(getattr(self, name)) for name in self._EDITABLE})

    def restore(self, saved: Saved) -> None:
        """Put back what `save` copied; call `settle` to see it followed."""
        for name, value in copy.deepcopy(saved.state).items():
            setattr(self, name, value)

    def elsewhere(self, region: str) -> Cloud:
        """The same account in another region, where it owns nothing."""
        other = Cloud(region=region)
        other.caller_arn = self.caller_arn
        return other

    # --- what others ask -------------------------------------------------------------------

    def bound_port(self, balancer: LoadBalancer | str, address: str, port: int) -> int:
        """The real port that stands for listener `port` on `address`, listener or not.

        It is the same on all addresses where it is free there. Raises OSError when none is free.
        """
        name = balancer if isinstance(balancer, str) else balancer.name
        return self._data.ports.real(name, address, port)

    def addresses(self, balancer: LoadBalancer | str) -> tuple[str, ...]:
        """What the load balancer's DNS name resolves to now; empty while it does not exist.

        An NLB's name drops the address of a zone in which a target group has no healthy target,
        unless that is so in all zones (NLB guide, "Availability Zones").
        """
        name = balancer if isinstance(balancer, str) else balancer.name
        found = self.load_balancers.get(name)
        if found is None or found.state not in {"active", "active_impaired"}:
            return ()
        zones = [zone for zone in found.zones if zone.name not in found.shifted_zones]
        zones = zones or found.zones
        if found.type == "network":
            names = {name for listener in found.listeners for name in listener.target_groups()}
            groups = [self.target_groups[name] for name in names if name in self.target_groups]
            good = [
                zone
                for zone in zones
                if all(self._healthy(self.candidates(found, group, zone.name)) for group in groups)
            ]
            zones = good or zones
        return tuple(zone.address for zone in zones)

    def balancers_of(self, group: str) -> list[LoadBalancer]:
        """The load balancers with a listener or rule that forwards to the target group."""
        return [
            balancer
            for balancer in self.load_balancers.values()
            if any(group in listener.target_groups() for listener in balancer.listeners)
        ]

    def instance_state(self, instance_id: str) -> str:
        """The instance's state by its description; ``running`` where there is none."""
        found = self._instance(instance_id)
        return found["State"]["Name"] if found else "running"

    def zone_of(self, group: TargetGroup, target: Target) -> str | None:
        """The target's zone; None where it is unknown or all zones may reach it."""
        if target.zone is not None:
            return None if target.zone == "all" else target.zone
        found = self._instance(target.id) if group.target_type == "instance" else None
        return found["Placement"]["AvailabilityZone"] if found else None

    def place(self, group: TargetGroup, target: Target, port: int) -> tuple[str, int] | None:
        """Where to connect for `port` of a target; None where there is no such place."""
        if group.target_type == "instance":
            found = self._instance(target.id)
            address = self._resolve(target.id) or (found and found["PrivateIpAddress"])
            return None if not address else self._dial(address, port)
        if group.target_type == "ip":
            return self._dial(target.id, port)
        for balancer in self.load_balancers.values():
            if target.id.endswith(f":loadbalancer/{balancer.path}"):
                first = balancer.zones[0].address
                return first, self.bound_port(balancer, first, port)
        return None

    def check_host(self, group: TargetGroup, place: tuple[str, int]) -> str:
        """The Host header of an HTTP check: the target's address and port from an ALB.

        A Network Load Balancer names the address of its own node and the listener's port instead.
        """
        if group.protocol not in model.LAYER_7:
            for balancer in self.balancers_of(group.name):
                for listener in balancer.listeners:
                    if group.name in listener.target_groups():
                        return f"{balancer.zones[0].address}:{listener.port}"
        return f"{place[0]}:{place[1]}"

    def _instance(self, instance_id: str) -> dict[str, Any] | None:
        return next((one for one in self.instances if one["InstanceId"] == instance_id), None)

    # --- routing ---------------------------------------------------------------------------

    def candidates(
        self, balancer: LoadBalancer, group: TargetGroup, zone: str | None
    ) -> list[tuple[Target, model.TargetState]]:
        """The targets that may get a connection made in `zone`, each with its state.

        Without cross-zone load balancing these are the zone's own. Unused and draining ones are
        left out, and those in a zone that traffic was shifted away from.
        """
        crossing = group.all_attributes()["load_balancing.cross_zone.enabled"]
        if crossing == "use_load_balancer_configuration":
            crossing = balancer.all_attributes()["load_balancing.cross_zone.enabled"]
        found = []
        for target in group.targets:
            state = self.health.state(group, target)
            own = self.zone_of(group, target)
            near = crossing == "true" or own is None or zone is None or own == zone
            if near and own not in balancer.shifted_zones and state.state in _ROUTABLE:
                found.append((target, state))
        return found

    @staticmethod
    def _healthy(found: list[tuple[Target, model.TargetState]]) -> list[Target]:
        return [target for target, state in found if state.state == "healthy"]

    def choose_target(
        self, balancer: LoadBalancer, group: TargetGroup, address: str
    ) -> Target | None:
        """The next target, by turns; any registered one when none is healthy (fail open)."""
        zone = next((zone.name for zone in balancer.zones if zone.address == address), None)
        found = self.candidates(balancer, group, zone)
        pool = self._healthy(found) or [target for target, _ in found]
        if not pool:
            return None
        return pool[self._turn(f"{balancer.name}/{group.name}/{address}") % len(pool)]

    def choose_group(self, action: Action) -> TargetGroup | None:
        """The next target group of a forward action, by turns in proportion to the weights."""
        names = [name for name, weight in action.targets for _ in range(weight)]
        if not names:
            return None
        turn = self._turn("/".join(names)) if len(names) > 1 else 0
        return self.target_groups.get(names[turn % len(names)])

    def _turn(self, key: str) -> int:
        self._turns[key] += 1
        return self._turns[key] - 1

    # --- security groups -------------------------------------------------------------------

    def balancer_admits(self, balancer: LoadBalancer, port: int) -> bool:
        """Whether the load balancer's security groups let clients reach the listener.

        Always so unless `enforce_security_groups`, and for an NLB made without any.
        """
        if not self.enforce_security_groups or not balancer.security_groups:
            return True
        groups = self._groups(balancer.security_groups)
        return firewall.admits(groups, port, self.client_address, ())

    def target_admits(
        self, group: TargetGroup, target: Target, port: int, client: str | None
    ) -> bool:
        """Whether a target's security groups let the load balancer's connection in.

        `client` is the client's address; None for a health check, which comes from the load
        balancer. Always so unless `enforce_security_groups`, and for targets whose groups are not
        known. What the load balancer's own groups do not let out does not come in either.
        """
        if not self.enforce_security_groups:
            return True
        balancers = [one for one in self.balancers_of(group.name) if self._lets_out(one, port)]
        ids = self._groups_of(target)
        if not ids or not balancers:
            return bool(balancers)
        own = self._groups(ids)
        kept = group.all_attributes().get("preserve_client_ip.enabled") == "true"
        return any(
            firewall.admits(
                own,
                port,
                client if client is not None and kept else zone.address,
                balancer.security_groups,
            )
            for balancer in balancers
            for zone in balancer.zones
        )

    def _lets_out(self, balancer: LoadBalancer, port: int) -> bool:
        """Whether the load balancer's outbound rules let it send to the port."""
        groups = self._groups(balancer.security_groups)
        return not groups or firewall.lets_out(groups, port)

    def _groups_of(self, target: Target) -> list[str]:
        """The ids of the target's groups: of the instance, or of whatever has the address."""
        for interface in self.network_interfaces:
            held = [one["PrivateIpAddress"] for one in interface.get("PrivateIpAddresses", ())]
            if target.id in held:
                return [one["GroupId"] for one in interface["Groups"]]
        for instance in self.instances:
            if target.id in (instance["InstanceId"], instance["PrivateIpAddress"]):
                return [one["GroupId"] for one in instance["SecurityGroups"]]
        return []

    def _groups(self, ids: list[str]) -> list[dict[str, Any]]:
        return [group for group in self.security_groups if group["GroupId"] in ids]
