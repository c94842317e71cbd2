"""Step 3: Traefik's Service, its pods, static configuration, providers and rights."""

from __future__ import annotations

from collections.abc import Iterator

from hopcheck.behaviour.kubernetes import pod_state as pod_states
from hopcheck.behaviour.traefik.discovery import Instance
from hopcheck.catalogue.catalogue import listing, make, text
from hopcheck.model import Facts, Finding, Gap, Judgement, ObjectRef, Step, Why
from hopcheck.model.kubernetes import DaemonSet, Deployment, Pod, Service, Workload
from hopcheck.scene.chain import TraefikPort
from hopcheck.scene.outcome import Producer, producer
from hopcheck.scene.scene import Scene
from hopcheck.steps.names import kube_gap, last_exchanges, ref_of
from hopcheck.steps.rule import SHOWN, WAY, rule
from hopcheck.steps.traefik_service import service
from hopcheck.steps.traefik_service.origin import unheard
from hopcheck.steps.traefik_service.service import full_name, in_sight, workload_ref
from hopcheck.verdict.contradicted import Claim, Claimed


@rule(reads=WAY, uses=SHOWN, unless=service.OF_THE_SERVICE)
def traefik_runs_in_the_cluster(scene: Scene) -> Iterator[Finding | Claimed]:
    """Traefik runs in this cluster, behind its Service where it has one.

    Missing is only what could have been seen.
    """
    if not in_sight(scene) or scene.instance is not None:
        return
    found, empty = scene.traefik_service, _empty_workload(scene)
    if found is None and not _seen_to_be_nowhere(scene):
        return
    if found is None:
        ref = ref_of(empty) if empty is not None else ObjectRef("Deployment", "traefik")
        detail = text("searched", "no_pod", what=ref) if empty is not None else ""
        nowhere = make("SVC015", ref, searched=text("searched", "cluster"), detail=detail)
        yield Claimed(Claim.STOPS_EVERYTHING, nowhere)
    elif not _pods_unseen(scene, found):
        ref = ref_of(empty or found)
        scaled_down = empty is not None and empty.spec.replicas == 0
        zero = text("searched", "zero", workload=ref) if scaled_down else ""
        yield make(
            "SVC015",
            ref,
            variant="no_pod",
            searched=text("searched", "namespace", name=found.namespace),
            detail=text("searched", "none_behind", service=full_name(found)) + zero,
            related=(ref_of(found),),
        )


def _seen_to_be_nowhere(scene: Scene) -> bool:
    """Whether every pod of the cluster could be seen, and nothing answers as Traefik does."""
    everywhere = scene.kube.lists.get("pods")
    if scene.kube.namespace is not None:
        return False
    if everywhere is None or not everywhere.seen or everywhere.truncated:
        return False
    return not any(producer(last) is Producer.TRAEFIK for last in last_exchanges(scene))


def _empty_workload(scene: Scene) -> Workload | None:
    known = (*scene.kube.every(Deployment), *scene.kube.every(DaemonSet))
    return next((one for one in known if "traefik" in one.name), None)


def sight(scene: Scene) -> Judgement:
    """What was seen of the Traefik that the host's requests reach."""
    if not in_sight(scene):
        gap = kube_gap("services", scene.kube.of(Service))
        return Judgement(Step.TRAEFIK_SERVICE, gaps=(gap,))
    instance, found = scene.instance, scene.traefik_service
    if instance is None and found is None and not traefik_runs_in_the_cluster(scene):
        return Judgement(Step.TRAEFIK_SERVICE, gaps=(Gap("traefik_not_found", Why.NOT_FOUND),))
    gaps = unheard(scene)
    gaps += _pods_unseen(scene, found) if instance is None and found is not None else ()
    facts = _facts(scene, instance, found)
    return Judgement(Step.TRAEFIK_SERVICE, gaps=gaps, seen=True, facts=facts)


def _pods_unseen(scene: Scene, service: Service) -> tuple[Gap, ...]:
    """A gap where pods could not be listed in the Service's namespace."""
    listed = scene.kube.of(Pod, service.namespace)
    return () if listed.seen else (kube_gap("traefik_pods", listed),)


def _numbers(port: TraefikPort) -> str:
    """As kubectl writes it, and where it leads: "443:30001 → websecure"."""
    return f"{port.port}" + (f":{port.node_port}" if port.node_port else "") + f" → {port.target}"


def _described(port: TraefikPort) -> str:
    entry = port.entry_point
    behind = f" ({entry.name} {entry.address})" if entry is not None else ""
    return f"{port.name or port.port} {_numbers(port)}{behind}"


def _where(pod: Pod) -> str:
    """The pod's address and node, as far as it has them yet."""
    address, node = pod.status.pod_ip, pod.spec.node_name
    if address and node:
        return text("found", "pod", address=address, node=node)
    return str(address or node or "")


def _facts(scene: Scene, instance: Instance | None, service: Service | None) -> Facts:
    facts: Facts = {}
    if service is not None:
        wanted = scene.wanted_port(scene.target.scheme)
        kind = str(service.spec.type or "ClusterIP")
        facts |= {
            "traefik-service.label": full_name(service),
            "traefik-service.detail": f"{kind}, {_numbers(wanted)}" if wanted else kind,
            "ports": [_described(port) for port in scene.ports],
            "externalTrafficPolicy": service.spec.external_traffic_policy or None,
        }
    elif instance is not None and scene.host_ports:
        facts |= {"traefik-service.label": "hostPort", "traefik-service.na": True}
    if instance is not None:
        ready = [pod for pod in instance.pods if pod.ready]
        workloads = dict.fromkeys(str(workload_ref(pod)) for pod in instance.pods)
        facts |= {
            "traefik-pod.label": listing(workloads, 3),
            "traefik-pod.detail": text("found", "pods", ok=len(ready), total=len(instance.pods))
            + (f", Traefik {scene.version}" if scene.version else ""),
            "traefik-pod.members": [
                {
                    "name": pod.name,
                    "state": pod_states.state_of(pod).reason or "ready",
                    "detail": _where(pod),
                }
                for pod in instance.pods
            ],
            "entryPoints": {n: entry.address for n, entry in scene.static.entry_points.items()},
        }
    return facts
