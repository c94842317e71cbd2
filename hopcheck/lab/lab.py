"""The lab: every party of the page's path, running on loopback, broken and healed at will."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from hopcheck.lab import settings, topology, traefik
from hopcheck.lab.addresses import Addresses
from hopcheck.lab.apiserver import ApiServer, Store
from hopcheck.lab.apiserver.kinds import UNSERVED
from hopcheck.lab.certificates import Certificates
from hopcheck.lab.cloud import Cloud
from hopcheck.lab.controllers import EndpointController
from hopcheck.lab.dns import DnsServer
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.kubelet import Kubelet
from hopcheck.lab.nodes import Nodes
from hopcheck.lab.pods import HEALTHY, AppPod, Behaviour
from hopcheck.lab.relay import Relay
from hopcheck.lab.setups import SETUPS
from hopcheck.lab.traefik import TraefikProcess

Obj = dict[str, Any]

_POLL_S = 0.05
# Traefik has followed a change when its configuration rests for this long: several times its
# providersThrottleDuration in the lab (100 ms) and the time a watch event takes (milliseconds).
_QUIET_S = 0.6
_LIMIT_S = 20.0
_ROUTED_TRIES = 40  # where the API is off, only an answer tells that a route has been loaded
_ACCOUNT = f"system:serviceaccount:{topology.GATEWAY}:{topology.TRAEFIK}"


class Lab:
    """One running path. ``async with Lab() as lab``; everything ends with the block.

    `binary` is another Traefik than the installed one; `single` forces the lay-out for systems
    that bind 127.0.0.1 only. Public parts may be changed freely while it runs (`store`,
    `cloud`, `dns`, `server`, `kubelet`); call `settle()` afterwards.
    """

    def __init__(self, *, binary: Path | None = None, single: bool | None = None) -> None:
        self.binary = binary or traefik.find_binary()
        self._addresses = Addresses(single=single)
        self.plan = topology.plan(self._addresses)
        self.directory = Path(tempfile.mkdtemp(prefix="hopcheck-lab-"))
        names = {pod.address for pod in self.plan.traefik} | {self.plan.api_address, "127.0.0.1"}
        # Traefiks that a set-up adds reach the API server by their own address too.
        names |= {self._addresses.host(number) for number in topology.GUESTS}
        self.certificates = Certificates.make(
            self.directory, {*names, "kubernetes.default.svc"}, topology.HOST
        )
        self.server = ApiServer(
            certificate=self.certificates.cluster_certificate,
            key=self.certificates.cluster_key,
            address=self.plan.api_address,
            port=self._addresses.port(self.plan.api_address, 6443),
        )
        nodes = {node.instance: node.address for node in self.plan.nodes}
        self.cloud = Cloud(nodes.get)
        self.dns = DnsServer(self.plan.dns_address)
        self.kubelet = Kubelet(self.store)
        self.nodes = Nodes(self.store, cluster_ips=bool(self.plan.cluster_ips))
        self.second_dns: DnsServer | None = None
        self.version = ""
        self.token = secrets.token_urlsafe(24)
        self._controller = EndpointController(self.store)
        self._relays: dict[str, Relay] = {}
        self._traefik: dict[str, TraefikProcess] = {}
        self._apps: dict[str, AppPod] = {}
        self._tokens: dict[str, str] = {}
        self._guests: list[tuple[str, str]] = []
        self._rules_changed = False
        self._settled = 0  # the store's version that every party is known to follow
        self._baseline: Callable[[], None] = lambda: None
        self._healthy: list[tuple[Obj, bytes | None]] = []
        self._down: set[tuple[str, str]] = set()

    @property
    def store(self) -> Store:
        """The cluster's objects."""
        return self.server.store

    # --- life ------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start every party and wait until the path works.

        Raises TimeoutError with the part that did not come up, OSError when a port is taken.
        """
        self.version = await traefik.version(self.binary)
        await self.server.start()
        self.server.account(self.token, "oncall@example.com", topology.reader_rules())
        for pod in self.plan.traefik:
            await self._prepare(pod)
        self._populate()
        settings.describe_cloud(self.cloud, self.plan)
        settings.describe_dns(self.dns, self.cloud)
        self.dns.port = self._addresses.port(self.plan.dns_address, 0)
        await asyncio.gather(
            self.kubelet.start(), self.nodes.start(), self.dns.start(), self.cloud.start()
        )
        settings.write_kubeconfig(self.kubeconfig, self.server, self.certificates, self.token)
        await self._until(self._has_route, "Traefik has not loaded the route")
        await self._converge()
        self._remember()
        self._healthy = await self._loaded()
        self._settled = self.store.version

    async def stop(self) -> None:
        """End every party, in the order in which nothing complains; safe to call twice."""
        await self.kubelet.stop()
        await self.cloud.stop()
        await self.nodes.stop()
        await self.dns.stop()
        await self._drop_second_resolver()
        for relay in self._relays.values():
            await relay.stop()
        await self.server.stop()
        self._addresses.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    # --- what users need -------------------------------------------------------------------

    def address(self, number: int) -> str:
        """A loopback address of the lab's own block, for parties that a set-up adds."""
        return self._addresses.host(number)

    @property
    def kubeconfig(self) -> Path:
        """The file for KUBECONFIG; its user may only read."""
        return self.directory / "kubeconfig"

    def environment(self) -> dict[str, str]:
        """The variables that make clients find the lab instead of the user's own parties."""
        return settings.environment(self.kubeconfig, self.cloud, self.directory)

    def arguments(self) -> list[str]:
        """The options of ``hopcheck diagnose`` for this lab."""
        found = settings.arguments(self.dns, self.cloud, self.nodes, self.certificates.public_ca)
        if self.second_dns is not None:
            found += ["--resolver", f"{self.second_dns.address}:{self.second_dns.port}"]
        return found

    # --- faults ----------------------------------------------------------------------------

    async def inject(self, name: str) -> None:
        """Inject a fault of the gallery and wait until every party reflects it.

        Raises KeyError for an unknown name, LookupError for one that this lab cannot show.
        """
        fault = FAULTS[name]
        if fault.inject is None or fault.unshown(self.version):
            raise LookupError(f"{name} cannot be shown: {fault.unshown(self.version)}")
        await fault.inject(self)
        await self.settle()

    async def arrange(self, name: str) -> None:
        """Rearrange the lab into a healthy set-up of the gallery and wait until it serves.

        Raises KeyError for an unknown name.
        """
        await SETUPS[name].arrange(self)
        await self.settle()
        asked = urlsplit(SETUPS[name].target)
        for _ in range(_ROUTED_TRIES):
            if await self._routed(asked.hostname or topology.HOST, asked.path):
                break
            await asyncio.sleep(_POLL_S)
        await self._converge()

    async def heal(self) -> None:
        """Go back to the healthy state and wait until the path works as at the start."""
        # A Traefik that has yet to hear of the last changes looks healed before it is broken.
        behind = self.store.version != self._settled
        for relay in self._relays.values():
            behind = behind or relay.frozen
            relay.thaw()
        self.server.hidden = set(UNSERVED)
        self.set_delay(0.0)
        self.nodes.dark.clear()
        await self._drop_second_resolver()
        for name in [one for one in self._apps if one not in {p.name for p in self.plan.app}]:
            del self._apps[name]
            await self.kubelet.remove(topology.APP, name)
        for namespace, name in self._guests:
            await self.kubelet.remove(namespace, name)
            self._tokens.pop(name, None)
        self._guests.clear()
        self._baseline()
        for down in list(self._down):
            await self.kubelet.restart(*down)
        self._down.clear()
        for pod in self._apps.values():
            if pod.behaviour != HEALTHY:
                await self.set_app(pod.name, HEALTHY)
        if self._rules_changed:
            await self.set_traefik_rules(topology.traefik_rules(self.version))
            self._rules_changed = False
        for name, process in self._traefik.items():
            args = self._args_of(name)
            place = self._place_of(name)
            if (process.args, process.env, process.address) != (args, {}, place.address) or (
                process.exit_code is not None
            ):
                process.args, process.env, process.address = args, {}, place.address
                process.admin_port = process.ping_port = place.ports["traefik"]
                await self.kubelet.restart(topology.GATEWAY, name)
        if behind:
            await self._quiet()
        await self._until(self._as_before, "the lab does not come back to its healthy state")
        await self._converge()
        self._settled = self.store.version

    async def settle(self) -> None:
        """Wait until pods, nodes, targets and Traefik's configuration follow the store."""
        await self.kubelet.probe()
        if self.store.version != self._settled:
            await self._quiet()
            await self._converge()
            self._settled = self.store.version
        else:  # Traefik has nothing to follow
            await self._converge()

    async def _quiet(self) -> None:
        """Wait until what every Traefik has loaded rests."""
        began = time.monotonic()
        seen: list[str] = []
        since = began
        while time.monotonic() - since < _QUIET_S and time.monotonic() - began < _LIMIT_S:
            await self.kubelet.probe()
            now = [await one.fingerprint(topology.HOST) for one in self._traefik.values()]
            if now != seen or "starting" in now:
                seen, since = now, time.monotonic()
            await asyncio.sleep(_POLL_S)

    async def complaints_past(self) -> None:
        """Wait until every error that Traefik logged is older than a reload takes.

        For whoever injects one fault after the other, faster than people edit: Traefik writes
        whole seconds, and an error of the fault before could be one of the next configuration.
        """
        await self._until(self._silent, "Traefik goes on to log errors")

    async def _silent(self) -> bool:
        return not any(one.complains() for one in self._traefik.values())

    async def set_app(self, name: str | None, behaviour: Behaviour) -> None:
        """Restart an application pod (None: each of them) with another behaviour."""
        for pod in self._apps.values():
            if name in (None, pod.name):
                pod.behaviour = behaviour
                await self.kubelet.restart(topology.APP, pod.name)

    async def scale_app(self, replicas: int) -> list[str]:
        """Run more pods of the application until `heal`; the names of all of them.

        Raises LookupError where the lab has one address only.
        """
        if self._addresses.single:
            raise LookupError("this lab has one address only, and so one pod of the application")
        for pod in topology.further_app_pods(self.plan, self._addresses, replicas):
            self.store.put(topology.app_pod(pod))
            self._add_app(pod)
            await self.kubelet.restart(topology.APP, pod.name)
        for workload in ("deployments", "replicasets"):
            for one in self.store.list(workload, topology.APP):
                one["spec"]["replicas"] = replicas
                self.store.put(one)
        return list(self._apps)

    def _add_app(self, pod: topology.Pod) -> None:
        app = AppPod(pod.name, pod.address, pod.ports["http"])
        self._apps[pod.name] = app
        self._run(topology.APP, pod.name, "my-app", app)

    async def set_traefik_args(self, change: Callable[[list[str]], list[str]]) -> None:
        """Change the arguments in Traefik's Deployment and in each pod, and restart the pods."""

        def edit(spec: Obj) -> None:
            container = spec["containers"][0]
            container["args"] = change(container["args"])

        name = topology.TRAEFIK
        self.store.patch(
            "deployments", topology.GATEWAY, name, lambda o: edit(o["spec"]["template"]["spec"])
        )
        for pod, process in self._traefik.items():
            self.store.patch("pods", topology.GATEWAY, pod, lambda o: edit(o["spec"]))
            process.args = self._args_of(pod)
            await self.kubelet.restart(topology.GATEWAY, pod)

    async def set_traefik_process(self, change: Callable[[TraefikProcess], None]) -> None:
        """Change how the Traefik processes run, whatever their pods say, and restart them."""
        self._settled = 0
        for pod, process in self._traefik.items():
            change(process)
            await self.kubelet.restart(topology.GATEWAY, pod)

    async def stop_traefik(self, pod: str) -> None:
        """Delete a Traefik pod, as a Deployment does that is scaled down."""
        self.store.delete("pods", topology.GATEWAY, pod)
        await self._traefik[pod].stop()
        self._traefik[pod].exit_code = 0

    async def add_traefik(
        self, pod: topology.Pod, change: Callable[[list[str]], list[str]]
    ) -> list[str]:
        """Start another Traefik in `pod`, whose object is yours to put first; its arguments."""
        await self._prepare(pod)
        args = change(self._traefik_args(pod))
        await self.add_container(
            topology.GATEWAY, pod.name, TraefikProcess(self.binary, args, pod.address, pod.ports)
        )
        return args

    async def add_container(
        self, namespace: str, pod: str, container: TraefikProcess | AppPod
    ) -> None:
        """Run a container in a pod of the store until `heal`."""
        self._guests.append((namespace, pod))
        found = self.store.get("pods", namespace, pod)
        name = found["spec"]["containers"][0]["name"] if found else pod
        self._run(namespace, pod, name, container)
        await container.start()

    async def set_traefik_rules(self, rules: list[Obj]) -> None:
        """Replace the RBAC rules of Traefik's ServiceAccount and restart its pods."""
        self._rules_changed = True
        self._settled = 0  # restarted processes are to be waited for, though no object changes
        for pod, token in self._tokens.items():
            self.server.account(token, _ACCOUNT, rules)
            await self.kubelet.restart(topology.GATEWAY, pod)

    async def take_down(self, namespace: str, pod: str, change: Callable[[Obj], None]) -> None:
        """End what runs in a pod and give it the status that `change` writes, until `heal`."""
        self._down.add((namespace, pod))
        self.kubelet.hold(namespace, pod, change)
        await self.kubelet.container(namespace, pod).stop()

    async def add_resolver(self) -> DnsServer:
        """A second resolver, asked by every diagnosis until `heal`; it knows what the first does.

        Edit its zones freely. Raises OSError when no port is free.
        """
        if self.second_dns is None:
            second = DnsServer(self.plan.dns_address)
            second.restore(self.dns.state())
            await second.start()
            self.second_dns = second
        return self.second_dns

    async def _drop_second_resolver(self) -> None:
        if self.second_dns is not None:
            await self.second_dns.stop()
            self.second_dns = None

    def cut_off(self, pod: str) -> None:
        """Let a Traefik pod hear nothing more from the API server, as a partition does."""
        self._relays[pod].freeze()

    def isolated(self) -> frozenset[str]:
        """The Traefik pods that hear nothing from the API server now."""
        return frozenset(pod for pod, relay in self._relays.items() if relay.frozen)

    def set_delay(self, seconds: float) -> None:
        """Let the API server, AWS and DNS answer that much later."""
        self.server.delay = self.cloud.delay = self.dns.delay = seconds

    # --- inside ----------------------------------------------------------------------------

    async def _prepare(self, pod: topology.Pod) -> None:
        """A pod's own token and way to the API server, and the process that will run in it."""
        relay = Relay(pod.address, 0, lambda: (self.server.address, self.server.port))
        await relay.start()
        self._relays[pod.name] = relay
        token = secrets.token_urlsafe(24)
        (self.directory / f"{pod.name}.token").write_text(token)
        self.server.account(token, _ACCOUNT, topology.traefik_rules(self.version))
        self._tokens[pod.name] = token

    def _traefik_args(self, pod: topology.Pod | None) -> list[str]:
        cluster = {"certauthfilepath": str(self.certificates.cluster_ca)}
        if pod is None:  # the template: what the pods have in common
            ports = {name: numbers[0] for name, numbers in topology.ENTRYPOINTS.items()}
            return topology.traefik_args("", ports, cluster)
        cluster |= {
            "endpoint": f"https://{pod.address}:{self._relays[pod.name].port}",
            "token": str(self.directory / f"{pod.name}.token"),
        }
        return topology.traefik_args(pod.address, pod.ports, cluster)

    def _populate(self) -> None:
        image = f"docker.io/traefik:v{self.version}"
        certificate, key = self.certificates.site_certificate, self.certificates.site_key
        objects = topology.objects(self.plan, image, self._traefik_args, certificate, key)
        for obj in objects:
            self.store.put(obj)
        for pod in self.plan.traefik:
            process = TraefikProcess(self.binary, self._args_of(pod.name), pod.address, pod.ports)
            self._traefik[pod.name] = process
            self._run(topology.GATEWAY, pod.name, topology.TRAEFIK, process)
        for pod in self.plan.app:
            self._add_app(pod)

    def _run(self, namespace: str, pod: str, name: str, container: TraefikProcess | AppPod) -> None:
        self.kubelet.add(namespace, pod, container)
        self.server.set_log(namespace, pod, name, container.log, container.previous_log)

    def _place_of(self, pod: str) -> topology.Pod:
        return next(one for one in self.plan.traefik if one.name == pod)

    async def _routed(self, host: str, path: str) -> bool:
        """Whether each Traefik of the plan answers for that host by a route, on any entryPoint."""
        running = [one for one in self._traefik.values() if one.exit_code is None]
        name = host.encode("idna").decode()
        where = path if path.startswith("/") else "/"
        return all([await one.routes(name, where) for one in running])

    def _args_of(self, pod: str) -> list[str]:
        found = self.store.get("pods", topology.GATEWAY, pod)
        if found is None:
            raise LookupError(f"no pod {pod}")
        args: list[str] = found["spec"]["containers"][0]["args"]
        return args

    async def _converge(self) -> None:
        """Probes, listeners and health checks, one after the other, until they agree."""
        await self.kubelet.probe()
        await self.nodes.settle()
        await self.cloud.settle()

    async def _until(self, holds: Callable[[], Awaitable[bool]], problem: str) -> None:
        began = time.monotonic()
        while not await holds():
            if time.monotonic() - began > _LIMIT_S:
                lines = [line for one in self._traefik.values() for _, line in one.log()]
                logs = "\n".join(line[:200] for line in lines if '"RequestPath"' not in line)[
                    -2000:
                ]
                raise TimeoutError(f"{problem} after {_LIMIT_S:.0f} s\n{logs}")
            await asyncio.sleep(_POLL_S)
            await self.kubelet.probe()

    async def _has_route(self) -> bool:
        """Whether each Traefik has a server for each pod of the application."""
        service = f"{topology.APP}-{topology.SERVICE}"
        return all(
            [await one.servers(service) == len(self._apps) for one in self._traefik.values()]
        )

    async def _as_before(self) -> bool:
        return await self._loaded() == self._healthy

    async def _loaded(self) -> list[tuple[Obj, bytes | None]]:
        """What each Traefik has loaded: routers and services, and the site's certificate."""
        return [
            (await one.configuration(), await one.certificate(topology.HOST))
            for one in self._traefik.values()
        ]

    def _remember(self) -> None:
        """Keep the healthy state of everything a fault may change, for `heal`."""
        objects = settings.kept_objects(self.store)
        cloud, dns = self.cloud.save(), self.dns.state()

        def restore() -> None:
            self.cloud.restore(cloud)
            self.dns.restore(dns)
            self.kubelet.release()
            settings.restore_objects(self.store, objects)

        self._baseline = restore
