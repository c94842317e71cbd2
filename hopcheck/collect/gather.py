"""Collect all evidence for one host, concurrently and within the deadline."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from hopcheck.collect.ask import Run
from hopcheck.config.options import Misnamed, Options
from hopcheck.config.target import is_address, without_query_values
from hopcheck.model import (
    AwsEvidence,
    Collected,
    DnsEvidence,
    HttpEvidence,
    KubeEvidence,
    Obj,
    Snapshot,
    Target,
    TraefikEvidence,
    Vantage,
    Why,
)
from hopcheck.model.aws import Identity
from hopcheck.model.kubernetes import Server, Service
from hopcheck.model.redact import redact_url
from hopcheck.scene.probes import (
    BEFORE_THE_ROUTE,
    doors_of,
    foreign_targets,
    hop_targets,
    other_scheme_targets,
    plain_targets,
)
from hopcheck.scene.scene import Scene

if TYPE_CHECKING:
    from hopcheck.collect.kubernetes.client import KubeClient
    from hopcheck.collect.shared import Shared

T = TypeVar("T")

_PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY")


class Collection:
    """The evidence of one host as it comes in; `snapshot()` is whatever there is by now."""

    def __init__(
        self,
        target: Target,
        options: Options,
        parties: frozenset[str],
        shared: Shared | None = None,
    ) -> None:
        """Ask nothing yet. `shared`: what other hosts asked already is not asked again."""
        self.target = target
        self.shared = shared
        self.run = Run(options, shared.run if shared is not None else None)
        self.parties = parties
        self.taken_at = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.dns = DnsEvidence()
        self.aws = AwsEvidence()
        self.kube = KubeEvidence()
        self.traefik = TraefikEvidence()
        self.http = HttpEvidence()
        self.durations: dict[str, float] = {}
        self._client: KubeClient | None = None
        self.in_cluster = "KUBERNETES_SERVICE_HOST" in os.environ
        direct = options.direct_probes
        self.direct_probes = self.in_cluster if direct is None else direct

    def seconds(self) -> float:
        """Since the run began."""
        return self.run.now()

    def snapshot(self) -> Snapshot:
        """An immutable copy of what was collected so far, redacted strictly where asked."""
        return Snapshot(
            target=without_query_values(self.target),
            vantage=self._vantage(),
            taken_at=self.taken_at,
            dns=self.dns,
            aws=self.aws,
            kube=self.kube,
            traefik=self.traefik,
            http=self.http,
        )

    def _vantage(self) -> Vantage:
        server, identity = self.kube.server.or_else(Server()), self.aws.identity.or_else(Identity())
        # Probes ignore it.
        proxy = next(filter(None, map(os.environ.get, _PROXY_VARIABLES)), None)
        resolvers = dict.fromkeys(
            answer.get().resolver for answer in self.dns.answers if answer.seen
        )
        return Vantage(
            kube_context=server.context or None,
            in_cluster=self.in_cluster,
            aws_account=identity.account or None,
            aws_region=identity.region or None,
            resolvers=tuple(resolvers) or self.run.options.resolvers,
            proxy=redact_url(proxy) if proxy else None,
            direct_probes=self.direct_probes,
        )

    async def collect(self, progress: Callable[[str], None] = lambda _party: None) -> None:
        """Ask every party that is wanted. Ends by the deadline.

        Raises Misnamed for what the user named and is not there, else never for a party.
        """
        dns = asyncio.ensure_future(self._timed("dns", self._dns(), progress))
        kube = asyncio.ensure_future(self._timed("kube", self._kube(), progress))
        aws = asyncio.ensure_future(self._timed("aws", self._aws(dns, kube), progress))
        rest = (
            self._timed("traefik", self._traefik(kube, aws), progress),
            self._timed("http", self._http(dns, kube, aws), progress),
        )
        try:
            # Each call is bounded by the deadline on its own; this is the net below them. What was
            # gathered by then is kept, however long the loop itself did not run.
            async with self.run.limit(self.run.options.deadline + 1.0):
                await asyncio.gather(dns, kube, aws, *rest)
        except TimeoutError:
            self._too_late()
        finally:
            if self._client is not None and self.shared is None:
                await self._client.close()

    async def look(self) -> None:
        """A first look by what all hosts share: the records, and the request at each address.

        No hop behind the load balancer is asked, no Secret, no other scheme and not the system's
        own resolution. Only for a collection with a shared view; `join` follows.
        """
        from hopcheck.collect.dns.read import collect_dns
        from hopcheck.collect.web.probe import request_host

        started = self.run.now()
        self.dns = await collect_dns(self.target, self.run, system=False)
        self.durations["dns"] = self.run.now() - started
        started = self.run.now()
        addresses, seconds = addresses_of(self.target, self.dns)
        if addresses:
            self.http = await request_host(self.target, self.run, addresses, seconds, both=False)
        self.durations["http"] = self.run.now() - started

    async def join(self) -> None:
        """Take the host's part of what all hosts share, waiting for it by the host's deadline."""
        if self.shared is None:
            raise RuntimeError("there is nothing shared to join")
        options = self.run.options
        started = self.run.now()
        addresses, _ = addresses_of(self.target, self.dns)
        try:
            # The host's own questions are answered: their time is not taken from this.
            async with asyncio.timeout(options.deadline):
                index = await self.shared.index(options)
                self.kube = index.evidence(self.target.host, addresses)
                self.aws, names = await self.shared.aws(self.target, options, self.dns)
                self.dns = msgspec.structs.replace(self.dns, names=names)
                replicas = await self.shared.replica_index(options)
                self.traefik = replicas.evidence(self.target.host)
        except TimeoutError:
            self._too_late()
        self.durations |= dict.fromkeys(("kube", "aws", "traefik"), self.run.now() - started)

    def _too_late(self) -> None:
        """What is not there by the deadline is unknown, with the reason."""
        late: Collected[Any] = Collected(why=Why.TIMED_OUT)
        if "dns" not in self.durations:
            self.dns = DnsEvidence(answers=(late,), getaddrinfo=late)
        if "http" not in self.durations and not self.http.requests:
            self.http = msgspec.structs.replace(self.http, requests=(late,), other_scheme=late)
        if "kube" not in self.durations and not self.kube.lists:
            from hopcheck.collect.kubernetes.wanted import LISTED_BY_NAMESPACE, LISTED_IN_ALL

            lists = dict.fromkeys((*LISTED_IN_ALL, *LISTED_BY_NAMESPACE), late)
            self.kube = KubeEvidence(server=late, lists=lists)
        # What is seen stays so, and what has a reason keeps it.
        if "aws" not in self.durations and self.aws.load_balancers.why is Why.NOT_SELECTED:
            from hopcheck.collect.aws.read import without

            self.aws = without(late)
        if "traefik" not in self.durations and not self.traefik.replicas:
            from hopcheck.collect.traefik import unheard

            self.traefik = unheard(self.kube, late)

    async def _timed(
        self, party: str, work: Coroutine[Any, Any, T], progress: Callable[[str], None]
    ) -> T:
        started = self.run.now()
        found = await work
        # Only a party that was asked to the end counts as seen when the run is cut short.
        self.durations[party] = self.run.now() - started
        progress(party)
        return found

    async def _dns(self) -> DnsEvidence:
        if self.parties & {"dns", "http", "aws"}:
            from hopcheck.collect.dns.read import collect_dns

            self.dns = await collect_dns(self.target, self.run)
        return self.dns

    async def _kube(self) -> KubeEvidence:
        if self.parties & {"kube", "traefik"}:
            from hopcheck.collect.kubernetes.client import KubeClient
            from hopcheck.collect.kubernetes.read import collect_kube

            # Traefik's APIs are asked through the same client: one kubeconfig, one exec plugin.
            if self.shared is not None:
                self._client = self.shared.cluster(self.run.options)
            else:
                self._client = KubeClient(self.run)
            self.kube = await collect_kube(self.target, self.run, self._client)
            if self.shared is None:  # many hosts at night: an object that is gone is a finding
                hold_names(self.run.options, self.kube)
        return self.kube

    async def _aws(
        self, dns: asyncio.Future[DnsEvidence], kube: asyncio.Future[KubeEvidence]
    ) -> None:
        if "aws" not in self.parties:
            return
        if self.shared is not None:
            records = await asyncio.shield(dns)
            self.aws, names = await self.shared.aws(self.target, self.run.options, records)
            self.dns = msgspec.structs.replace(self.dns, names=names)
            return
        from hopcheck.collect.aws.read import collect_aws
        from hopcheck.collect.dns.read import resolve_name

        self.aws, names = await collect_aws(
            self.target, self.run, dns, kube, lambda name: resolve_name(name, self.run)
        )
        self.dns = msgspec.structs.replace(self.dns, names=names)

    async def _traefik(self, kube: asyncio.Future[KubeEvidence], aws: asyncio.Future[None]) -> None:
        if "traefik" not in self.parties:
            return
        from hopcheck.collect.traefik import MAX_REPLICAS, collect_traefik, of_host

        evidence = await asyncio.shield(kube)
        if self._client is None:
            raise AssertionError  # who reads what Traefik says has read the cluster
        if self.shared is not None:
            replicas = await self.shared.replicas(self.run.options)
            self.traefik = of_host(replicas, evidence, self.target.host)
            return
        first: tuple[Obj, ...] = ()
        instances = Scene(self.snapshot()).instances
        if len(instances) > 1 and sum(len(one.pods) for one in instances) > MAX_REPLICAS:
            # Not all can be asked: those on the way of this host, which the targets tell.
            await asyncio.shield(aws)
            instance = Scene(self.snapshot()).instance
            first = instance.pods if instance is not None else ()
        self.traefik = await collect_traefik(self.target, self.run, evidence, self._client, first)

    async def _http(
        self,
        dns: asyncio.Future[DnsEvidence],
        kube: asyncio.Future[KubeEvidence],
        aws: asyncio.Future[None],
    ) -> None:
        if "http" not in self.parties:
            return
        from hopcheck.collect.web.probe import request_host

        async def requests() -> None:
            addresses, seconds = addresses_of(self.target, await asyncio.shield(dns))
            if addresses:
                made = await request_host(self.target, self.run, addresses, seconds)
                self.http = msgspec.structs.replace(made, hops=self.http.hops)

        made = asyncio.ensure_future(requests())
        await asyncio.gather(made, self._hops(kube, aws, made))
        await self._issuance(kube, aws)

    async def _issuance(
        self, kube: asyncio.Future[KubeEvidence], aws: asyncio.Future[None]
    ) -> None:
        """What cert-manager does for a certificate in doubt; its challenge is tried as well."""
        from hopcheck.scene.issuance import challenge_url, in_doubt, presented

        await asyncio.shield(kube)
        if self._client is None or presented(Scene(self.snapshot())) is None:
            return
        await asyncio.shield(aws)
        secrets = in_doubt(Scene(self.snapshot()))
        if not secrets:
            return
        from hopcheck.collect.kubernetes.read import add_issuance
        from hopcheck.collect.web.probe import request_host

        self.kube = await add_issuance(self.target, self.run, self._client, self.kube, secrets)
        url = challenge_url(Scene(self.snapshot()))
        addresses, _ = addresses_of(self.target, self.dns)
        if url and addresses:
            path = url.partition(self.target.host)[2]
            asked = msgspec.structs.replace(self.target, scheme="http", port=80, path=path)
            told = await request_host(asked, self.run, addresses[:1], None, both=False)
            self.http = msgspec.structs.replace(self.http, challenge=told.requests[0])

    async def _hops(
        self,
        kube: asyncio.Future[KubeEvidence],
        aws: asyncio.Future[None],
        made: asyncio.Future[None],
    ) -> None:
        """The same request at every hop behind the load balancer that may be asked from here.

        Where none may and requests fail, whether their pods listen, by the API server.
        """
        from hopcheck.collect.web.probe import probe_hops

        objects = await asyncio.shield(kube)
        scene = Scene(self.snapshot())
        if len(scene.instances) > 1:
            # Which of several Traefiks is meant, the load balancer's targets tell.
            await asyncio.shield(aws)
            scene = Scene(self.snapshot())
        targets = hop_targets(objects, self.target, scene.instance)
        if not targets:
            return
        if not self.direct_probes:
            missing: Collected[object] = Collected(why=Why.NOT_REACHABLE_FROM_HERE)
            self.http = msgspec.structs.replace(self.http, hops=(missing,))
            await asyncio.gather(asyncio.shield(made), asyncio.shield(aws))
            doors = doors_of(Scene(self.snapshot()), targets)
            if doors and self._client is not None:
                from hopcheck.collect.kubernetes.knock import knock

                told = await knock(self._client, self.run, doors)
                self.http = msgspec.structs.replace(self.http, hops=(missing, *told))
            return
        hops = await probe_hops(self.target, self.run, targets)
        self.http = msgspec.structs.replace(self.http, hops=hops)
        if again := other_scheme_targets(hops):
            hops = (*hops, *await probe_hops(self.target, self.run, again))
        self.http = msgspec.structs.replace(self.http, hops=hops)
        await asyncio.shield(aws)
        hops = (
            *hops,
            *await probe_hops(self.target, self.run, foreign_targets(Scene(self.snapshot()))),
        )
        self.http = msgspec.structs.replace(self.http, hops=hops)
        if inside := plain_targets(Scene(self.snapshot())):
            kept = [c for c in hops if not c.seen or c.get().hop not in BEFORE_THE_ROUTE]
            hops = (*kept, *await probe_hops(self.target, self.run, inside))
            self.http = msgspec.structs.replace(self.http, hops=hops)


def hold_names(options: Options, kube: KubeEvidence) -> None:
    """Raises Misnamed for a namespace or Traefik's Service that a whole list lacks."""
    spaces = kube.list("namespaces")
    if options.namespace and spaces.seen and not spaces.truncated:
        names = [one.name for one in spaces.get()]
        if options.namespace not in names:
            raise Misnamed("namespace", options.namespace, names)
    wanted = options.traefik_service or ""
    listed = kube.lists.get(f"services@{wanted.partition('/')[0]}") or kube.list("services")
    if wanted and listed.seen and not listed.truncated:
        services = [f"{one.namespace}/{one.name}" for one in kube.every(Service)]
        if wanted not in services:
            raise Misnamed("traefik_service", wanted, services)


def addresses_of(target: Target, dns: DnsEvidence) -> tuple[tuple[str, ...], float | None]:
    """What the resolvers answered, in the order asked; else what getaddrinfo gives."""
    if is_address(target.host):
        return (target.host,), None
    found: dict[str, None] = {}
    seconds: float | None = None
    for answer in dns.answers:
        if answer.seen and answer.get().addresses:
            found |= dict.fromkeys(answer.get().addresses)
            seconds = answer.duration_s if seconds is None else seconds
    if not found and not dns.answers:
        found = dict.fromkeys(dns.getaddrinfo.or_else(()) or ())
    return tuple(found), seconds
