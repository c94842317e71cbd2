"""Step 5: the Service behind the route, its EndpointSlices, and the pods behind these."""

from __future__ import annotations

from typing import Any

import msgspec

from hopcheck.behaviour.kubernetes import pod_state as pod_states
from hopcheck.behaviour.kubernetes.graph import selects
from hopcheck.behaviour.kubernetes.objects import containers
from hopcheck.behaviour.traefik.route import Backend
from hopcheck.behaviour.traefik.version import uses_endpoint
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Finding, Gap, Judgement, Obj, ObjectRef, Severity, Step, Why
from hopcheck.scene.chosen_route import Routing, port_of, routing_of, share_of
from hopcheck.scene.outcome import outcomes
from hopcheck.scene.probes import endpoint_addresses, slice_ports
from hopcheck.scene.scene import Scene, meta, spec
from hopcheck.steps.endpoints import reach
from hopcheck.steps.names import gateway_gap, route_refs
from hopcheck.steps.rule import rule


def judge(scene: Scene) -> Judgement:
    """Judge each Service behind the host's route."""
    routing = routing_of(scene)
    route = routing.winner
    if route is None:
        return _without_route(scene, routing)
    backends, _ = routing.backends(route)
    internal = [b.name for b in route.backends if b.name.endswith("@internal")]
    if internal and not backends:
        note = text("na", "internal_service", service=internal[0])
        return Judgement(
            Step.ENDPOINTS,
            not_applicable=note,
            facts={"service.label": internal[0], "pod.na": True},
        )
    findings: list[Finding] = []
    gaps: list[Gap] = []
    facts: dict[str, Any] = {}
    seen = 0
    external: list[str] = []
    for backend in backends:
        service = scene.kube.one("services", backend.namespace, backend.name)
        if not service.seen:
            missing = service.why is Why.NOT_FOUND
            why = Why.NOT_NEEDED if missing else service.why
            what = "no_backend" if missing else "backend"
            gaps.append(_gap(what, why, service.detail, backend))
            continue
        if backend.weight == 0 and outcomes(scene.snapshot).succeeded:
            continue  # nothing is sent there, and Traefik has loaded the rest
        share = share_of(backend, backends)
        one = _Backend(scene, routing, backend, service.get(), share)
        result = one.judge()
        if result is None:
            external.append(str(spec(service.get()).get("externalName")))
            facts["service.label"] = f"{backend.namespace}/{backend.name}"
            seen += 1
            continue
        if routing.selection.winner is None and outcomes(scene.snapshot).succeeded:
            # The route is a guess, and what serves the requests may be another.
            result = msgspec.structs.replace(result, findings=())
        findings += result.findings
        gaps += result.gaps
        seen += result.seen
        for key, value in result.facts.items():
            facts.setdefault(key, value)
    if external and not findings and len(external) == len(backends):
        silent = _outside(scene, routing, backends, external)
        if silent is not None:
            return Judgement(Step.ENDPOINTS, (silent,), seen=True, facts=facts | {"pod.na": True})
        note = text(
            "na", "external", service=listing(b.name for b in backends), external=listing(external)
        )
        return Judgement(Step.ENDPOINTS, not_applicable=note, facts=facts | {"pod.na": True})
    return Judgement(Step.ENDPOINTS, tuple(findings), tuple(gaps), seen=seen > 0, facts=facts)


def _outside(
    scene: Scene, routing: Routing, backends: list[Backend], external: list[str]
) -> Finding | None:
    """Hosts outside that do not answer Traefik, as far as its own answers tell."""
    bad = reach.traefik_statuses(scene) & {502, 504}
    if not bad or outcomes(scene.snapshot).succeeded:
        return None
    instance = scene.instance
    pods = instance.pods if instance else ()
    first = backends[0]
    return make(
        "END014",
        ObjectRef("Service", first.name, first.namespace),
        variant="external",
        service=f"{first.namespace}/{first.name}",
        external=listing(external),
        answer=listing(sorted(bad)),
        ns=first.namespace,
        traefik_ns=instance.namespace if instance else "",
        pod=meta(pods[0]).get("name", "") if pods else "",
        related=route_refs(routing),
    )


def _without_route(scene: Scene, routing: Routing) -> Judgement:
    if routing.selection.redirect is not None and outcomes(scene.snapshot).succeeded:
        note = text("na", "no_traefik_route", evidence=text("said", "entry_point_redirect"))
        return Judgement(Step.ENDPOINTS, not_applicable=note)
    if routing.gateway:
        return Judgement(Step.ENDPOINTS, gaps=(gateway_gap(routing, required=True),))
    other = routing.other_provider
    if other is not None and routing.selection.winner is None:
        note = text("na", "file_provider", host=scene.target.host, provider=other)
        return Judgement(Step.ENDPOINTS, not_applicable=note)
    lists = scene.kube.list("ingresses")
    if not lists.seen:
        gap = Gap(
            "no_route_no_backend",
            lists.why or Why.NOT_SELECTED,
            lists.detail,
            params={"party": "kubernetes"},
        )
    else:
        gap = Gap("no_route_no_backend", Why.NOT_NEEDED)
    return Judgement(Step.ENDPOINTS, gaps=(gap,))


def _gap(what: str, why: Why | None, detail: str, backend: Backend) -> Gap:
    return Gap(
        what,
        why or Why.NOT_SELECTED,
        detail,
        params={
            "service": f"{backend.namespace}/{backend.name}",
            "ns": backend.namespace,
            "party": "kubernetes",
        },
    )


class _Backend:
    """One Service behind the route."""

    def __init__(
        self, scene: Scene, routing: Routing, backend: Backend, service: Obj, share: float | None
    ) -> None:
        self.scene, self.routing, self.backend = scene, routing, backend
        self.service, self.share = service, share
        self.ns, self.name = backend.namespace, backend.name
        self.full = f"{self.ns}/{self.name}"
        self.ref = ObjectRef("Service", self.name, self.ns)

    def judge(self) -> Judgement | None:
        """Findings, gaps and facts of this Service; None for an allowed ExternalName."""
        if spec(self.service).get("type") == "ExternalName":
            denied = self._external()
            return self._result([denied]) if denied else None
        port = port_of(self.service, self.backend.port)
        if port is None:
            return self._result(self._pods_alone(), facts={"service.label": self.full})
        slices = self.scene.kube.list("endpointslices", self.ns)
        if not slices.seen:
            gap = _gap("endpointslices", slices.why, slices.detail, self.backend)
            return Judgement(Step.ENDPOINTS, gaps=(gap,), facts={"service.label": self.full})
        own = [
            s
            for s in slices.get()
            if (meta(s).get("labels") or {}).get("kubernetes.io/service-name") == self.name
        ]
        endpoints = endpoint_addresses(self.scene.kube, self.service, port)
        version = self.routing.view.version
        used = [e for e in endpoints if uses_endpoint(version, e[2].get("conditions"))]
        facts = self._facts(port, endpoints, used)
        if used:
            return self._result(
                [
                    *self._not_ready(len(used)),
                    *reach.judge(self.scene, self.routing, self.backend, self.service, used),
                ],
                facts=facts,
            )
        return self._nothing_used(port, own, endpoints, facts)

    def _result(
        self,
        findings: list[Finding],
        facts: dict[str, Any] | None = None,
        gaps: tuple[Gap, ...] = (),
    ) -> Judgement:
        return Judgement(Step.ENDPOINTS, tuple(findings), gaps, seen=True, facts=facts or {})

    def _facts(
        self, port: Obj, endpoints: list[tuple[str, int, Obj]], used: list[tuple[str, int, Obj]]
    ) -> dict[str, Any]:
        members = [
            {
                "name": f"{(e.get('targetRef') or {}).get('name') or address}",
                "state": "ok" if (address, number, e) in used else "not ready",
                "detail": f"{address}:{number}",
            }
            for address, number, e in endpoints
        ]
        return {
            "service.label": f"{self.full}:{port.get('port')}",
            "service.detail": f"targetPort {port.get('targetPort', port.get('port'))}",
            "pod.label": text("found", "endpoints", ok=len(used), total=len(endpoints)),
            "pod.members": members,
            "endpoints": members,
        }

    # --- nothing usable

    def _pods(self) -> list[Obj]:
        return [
            pod
            for pod in self.scene.kube.list("pods", self.ns).or_else(()) or ()
            if selects(self.service, pod) and not pod_states.terminal(pod)
        ]

    def _pods_alone(self) -> list[Finding]:
        """What is wrong with the pods whatever the port: none selected, or none that is ready."""
        listed = self.scene.kube.list("pods", self.ns)
        if not spec(self.service).get("selector") or not listed.seen:
            return []
        pods = self._pods()
        if not pods:
            return [self._scaled_to_zero(pods) or self._selects_nothing()]
        troubled = [s for s in map(pod_states.state_of, pods) if s.reason]
        return [self._down(pods, troubled)] if len(troubled) == len(pods) else []

    def _nothing_used(
        self,
        port: Obj,
        own: list[Obj],
        endpoints: list[tuple[str, int, Obj]],
        facts: dict[str, Any],
    ) -> Judgement:
        listed = self.scene.kube.list("pods", self.ns)
        if not spec(self.service).get("selector"):
            return self._result([self._unmanaged(port, own)], facts)
        if not listed.seen:
            gap = _gap("pods", listed.why, listed.detail, self.backend)
            return self._result([self._empty("no_addresses")], facts, (gap,))
        pods = self._pods()
        scaled = self._scaled_to_zero(pods)
        if not pods:
            return self._result([scaled or self._selects_nothing()], facts)
        named = port.get("targetPort")
        if isinstance(named, str) and not any(slice_ports(s, port) for s in own):
            names = sorted(
                {
                    str(p.get("name"))
                    for pod in pods
                    for c in containers(pod)
                    for p in c.get("ports") or ()
                    if p.get("name")
                }
            )
            if named not in names:
                unnamed = self._unnamed(port, named, names, pods)
                return self._result([unnamed, *self._pods_alone()], facts)
        states = [pod_states.state_of(pod) for pod in pods]
        troubled = [state for state in states if state.reason]
        if not troubled:
            return self._result([self._empty("no_addresses" if own else "no_slice")], facts)
        wrong = reach.wrong_port(self.scene, self.backend, self.service, endpoints)
        return self._result([self._down(pods, troubled), *wrong], facts)

    def _unmanaged(self, port: Obj, own: list[Obj]) -> Finding:
        """Nobody keeps a slice, or its ports have other names than the Service's."""
        names = {
            str(p.get("name") or "")
            for one in own
            if one.get("endpoints")
            for p in one.get("ports") or ()
        }
        wanted = str(port.get("name") or "")
        if not names or wanted in names:
            return self._empty("unmanaged")
        shown = listing(sorted(name or '""' for name in names))
        return self._empty("port_name", name=wanted or '""', names=shown)

    def _empty(self, key: str, **words: Any) -> Finding:
        return make(
            "END012",
            self.ref,
            service=self.full,
            detail=text("backend", key, **words),
            advice=text("backend_advice", key, **words),
            ns=self.ns,
            svc=self.name,
            share=self.share,
        )

    def _selects_nothing(self) -> Finding:
        selector = spec(self.service).get("selector") or {}
        near = self._near(selector)
        workloads = self._workload_refs(near)
        shown = sorted(
            {
                ",".join(
                    f"{k}={v}"
                    for k, v in sorted((meta(pod).get("labels") or {}).items())
                    if k != "pod-template-hash"
                )
                for pod in near
            }
        )
        words = (
            text(
                "near",
                "pods",
                count=len(near),
                labels=listing(shown, 2),
                names=listing((meta(p).get("name") for p in near), 3),
            )
            if near
            else text("near", "none")
        )
        return make(
            "END001",
            ObjectRef("Service", self.name, self.ns, "spec.selector"),
            service=self.full,
            selector=_labels(selector),
            near=words,
            labels=text("near", "labels", labels=listing(shown, 2)) if near else "",
            ns=self.ns,
            svc=self.name,
            related=workloads,
            share=self.share,
        )

    def _near(self, selector: dict[str, Any]) -> list[Obj]:
        """Pods that share a key, a value, or something of the Service's name with the selector."""
        words = {str(v).lower() for v in selector.values()} | {self.name.lower()}
        found = []
        for pod in self.scene.kube.list("pods", self.ns).or_else(()) or ():
            labels = meta(pod).get("labels") or {}
            if pod_states.terminal(pod):
                continue
            same = any(labels.get(k) == v for k, v in selector.items())
            alike = set(selector) & set(labels) or any(
                str(v).lower() in w or w in str(v).lower()
                for k, v in labels.items()
                if k != "pod-template-hash"
                for w in words
            )
            if same or alike:
                found.append((not same, str(meta(pod).get("name")), pod))
        return [pod for _, _, pod in sorted(found, key=lambda row: row[:2])]

    def _workload_refs(self, pods: list[Obj]) -> tuple[ObjectRef, ...]:
        from hopcheck.behaviour.kubernetes.graph import workload_of

        refs = dict.fromkeys(ObjectRef(*workload_of(pod), self.ns) for pod in pods)
        return tuple(refs)[:4]

    def _unnamed(self, port: Obj, named: str, names: list[str], pods: list[Obj]) -> Finding:
        return make(
            "END002",
            ObjectRef("Service", self.name, self.ns, "spec.ports"),
            service=self.full,
            port=port.get("port"),
            target=named,
            names=listing(names),
            ns=self.ns,
            svc=self.name,
            related=self._workload_refs(pods),
            share=self.share,
        )

    def _down(self, pods: list[Obj], troubled: list[pod_states.PodState]) -> Finding:
        first = troubled[0]
        down = [state for state in troubled if state.down]
        related = (self.ref,)
        workloads = self._workload_refs(pods)
        ref = workloads[0] if workloads else self.ref
        if down:
            return make(
                "END005",
                ref,
                count=len(down),
                total=len(pods),
                service=self.full,
                reason=down[0].words,
                advice=down[0].advice,
                pod=down[0].name,
                ns=self.ns,
                related=(*related, ObjectRef("Pod", down[0].name, self.ns)),
                share=self.share,
            )
        return make(
            "END004",
            ref,
            service=self.full,
            total=len(pods),
            reason=first.words,
            advice=first.advice,
            pod=first.name,
            ns=self.ns,
            svc=self.name,
            related=(*related, ObjectRef("Pod", first.name, self.ns)),
            share=self.share,
        )

    def _not_ready(self, serving: int) -> list[Finding]:
        pods = [p for p in self._pods() if not pod_states.leaving(p)]
        troubled = pod_states.lasting(pods, self.scene.snapshot.taken_at)
        if not troubled or not serving:
            return []
        _, first = troubled[0]
        workloads = self._workload_refs(pods)
        return [
            make(
                "END006",
                workloads[0] if workloads else self.ref,
                severity=Severity.INFO if pod_states.stands_by(pods, troubled) else None,
                count=len(troubled),
                total=len(pods),
                service=self.full,
                reason=first.words,
                advice=first.advice,
                pod=first.name,
                ns=self.ns,
                share=len(troubled) / len(pods),
                related=(self.ref,),
            )
        ]

    def _scaled_to_zero(self, pods: list[Obj]) -> Finding | None:
        if pods:
            return None
        selector = spec(self.service).get("selector") or {}
        for resource, kind in (("deployments", "Deployment"), ("statefulsets", "StatefulSet")):
            for obj in self.scene.kube.list(resource, self.ns).or_else(()) or ():
                template = (spec(obj).get("template") or {}).get("metadata") or {}
                labels = template.get("labels") or {}
                if spec(obj).get("replicas") == 0 and all(
                    labels.get(k) == v for k, v in selector.items()
                ):
                    name = str(meta(obj)["name"])
                    keda = any("keda" in key for key in (meta(obj).get("labels") or {})) or any(
                        "keda" in key for key in (meta(obj).get("annotations") or {})
                    )
                    return make(
                        "END011",
                        ObjectRef(kind, name, self.ns),
                        workload=f"{kind} {self.ns}/{name}",
                        by=" (KEDA)" if keda else "",
                        ns=self.ns,
                        resource=f"{kind.lower()}/{name}",
                        related=(self.ref,),
                    )
        return None

    def _external(self) -> Finding | None:
        route = self.routing.winner
        static = self.routing.view.static
        crd = route is not None and route.kind != "Ingress"
        provider = static.crd if crd else static.ingress
        if not static.known or provider.allow_external_name:
            return None
        flag = "kubernetescrd" if crd else "kubernetesingress"
        instance = self.scene.instance
        related = (ObjectRef(instance.kind, instance.name, instance.namespace),) if instance else ()
        return make(
            "END007",
            self.ref,
            service=self.full,
            flag=flag,
            provider=flag,
            external=spec(self.service).get("externalName"),
            ns=self.ns,
            svc=self.name,
            related=related,
            share=self.share,
        )


def _labels(labels: dict[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _judged(scene: Scene) -> Judgement:
    return scene.once(Step.ENDPOINTS, lambda: judge(scene))


def sight(scene: Scene) -> Judgement:
    """What was seen of the step."""
    return msgspec.structs.replace(_judged(scene), findings=())


@rule(reads=("dns", "aws", "kube", "traefik"), uses=("http",))
def the_service_has_ready_endpoints(scene: Scene) -> tuple[Finding, ...]:
    """The application's Service has ready endpoints that listen on its targetPort."""
    return _judged(scene).findings


RULES = (the_service_has_ready_endpoints,)
