"""What changed between two snapshots: what is told, and what is not."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.history.changes import changes
from hopcheck.model import Change, Snapshot
from hopcheck.report.evidence import load

SNAPSHOTS = Path(__file__).parents[2] / "snapshots"
Plain = dict[str, Any]


@cache
def recorded(name: str) -> Snapshot:
    return load(SNAPSHOTS / f"{name}.json.gz")


def edited(*edits: Callable[[Plain], object], of: str = "healthy") -> Snapshot:
    plain = msgspec.json.decode(msgspec.json.encode(recorded(of)))
    for edit in edits:
        edit(plain)
    return msgspec.convert(plain, Snapshot)


def told(found: tuple[Change, ...]) -> list[str]:
    return [f"{one.object} {one.field}: {one.before} → {one.after}" for one in found]


def since_healthy(*edits: Callable[[Plain], object]) -> list[str]:
    return told(changes(recorded("healthy"), edited(*edits)))


def items(plain: Plain, key: str) -> list[Plain]:
    found: list[Plain] = plain["kube"]["lists"][key]["value"]
    return found


def named(plain: Plain, key: str, name: str) -> Plain:
    return next(one for one in items(plain, key) if one["metadata"]["name"] == name)


def service(plain: Plain) -> Plain:
    return named(plain, "services", "my-app-service")


def ingress(plain: Plain) -> Plain:
    return items(plain, "ingresses")[0]


def traefik(plain: Plain) -> Plain:
    found: Plain = items(plain, "deployments@api-gateway-system")[0]
    return found["spec"]["template"]["spec"]["containers"][0]  # type: ignore[no-any-return]


# --- the gallery -------------------------------------------------------------------------

# Fault -> its first change. Faults that leave no trace in what is declared or seen are left out.
FIRST = {
    "dns-dangling-cname": "DNSRecord myapp.example.com CNAME: myapp-nlb-d0fe7c5992c8f319.elb.ap-"
    "northeast-2.amazonaws.com → myapp-old-00ddba11deadbeef.elb.ap-northeast-2.amazonaws.com",
    "ing-class-other": "Ingress default/my-app-ingress spec.ingressClassName: traefik → nginx",
    "ing-no-host": "Ingress default/my-app-ingress spec.rules[0].host: myapp.example.com → "
    "my-app.example.com",
    "ing-port-number": "Ingress default/my-app-ingress "
    "spec.rules[0].http.paths[0].backend.service.port.number: 80 → 8080",
    "ing-svc-missing": "Ingress default/my-app-ingress "
    "spec.rules[0].http.paths[0].backend.service.name: my-app-service → my-app-svc",
    "nlb-no-443": "Listener myapp-nlb:443 exists: True → False",
    "nlb-swapped": "Listener myapp-nlb:443 DefaultActions[0].ForwardConfig.TargetGroups[0].name: "
    "myapp-websecure → myapp-web",
    "svc-selector": "Service default/my-app-service spec.selector.app: my-app → myapp",
    "svc-targetport-name": "Service default/my-app-service spec.ports[0].targetPort: 8080 → web",
    "svc-targetport-num": "Service default/my-app-service spec.ports[0].targetPort: 8080 → 8081",
    "tg-health-port": "TargetGroup myapp-websecure HealthCheckPort: traffic-port → 30999",
    "tg-nodeport-drift": "TargetGroup myapp-websecure Port: 30001 → 31443",
    "tg-ppv2-only": "TargetGroup myapp-websecure attributes[\"proxy_protocol_v2.enabled\"]: "
    "false → true",
    "tpod-static-bad": "Deployment api-gateway-system/traefik "
    "spec.template.spec.containers[0].args: None → --providers.kubernetesingres=true",
    "tsvc-clusterip": "Service api-gateway-system/traefik spec.type: NodePort → ClusterIP",
    "tsvc-missing": "Service api-gateway-system/traefik exists: True → False",
    "tsvc-selector": "Service api-gateway-system/traefik spec.selector.app: traefik → "
    "traefik-ingress",
    "tsvc-targetport-num": "Service api-gateway-system/traefik spec.ports[1].targetPort: "
    "websecure → 8444",
}  # fmt: skip


@pytest.mark.parametrize("name", FIRST)
def test_the_first_change_is_the_fault(name: str) -> None:
    snapshot = recorded(name)
    found = told(changes(recorded("healthy"), snapshot, replay(snapshot).root_causes))
    # Recordings of different labs have certificates of their own.
    assert next(one for one in found if not one.startswith("Certificate ")) == FIRST[name]


@pytest.mark.parametrize("name", ["app-5xx", "app-hang", "tpod-replica-skew", "healthy"])
def test_where_nothing_was_edited_nothing_is_told(name: str) -> None:
    assert changes(recorded("healthy"), recorded(name)) == ()


def test_targets_by_name_and_their_health_by_number() -> None:
    found = told(changes(recorded("healthy"), recorded("tg-empty")))
    assert found == [
        "TargetGroup myapp-websecure targets: ['i-0a1b2c3d4e5f60001:30001', "
        "'i-0a1b2c3d4e5f60002:30001', 'i-0a1b2c3d4e5f60003:30001'] → None",
        "TargetGroup myapp-websecure healthyTargets: 3 → 0",
    ]


# --- noise -------------------------------------------------------------------------------


def versions(plain: Plain) -> None:
    for found in plain["kube"]["lists"].values():
        for item in found["value"] or ():
            item["metadata"] |= {"resourceVersion": "9", "uid": "other", "generation": 7}


def namespaces_as_they_were(plain: Plain) -> None:
    healthy = msgspec.to_builtins(recorded("healthy"))
    plain["kube"]["lists"]["namespaces"] = healthy["kube"]["lists"]["namespaces"]


def restarts(plain: Plain) -> None:
    for key in ("pods@default", "pods@api-gateway-system"):
        for pod in items(plain, key):
            for status in pod["status"].get("containerStatuses") or ():
                status["restartCount"] = 5
            pod["status"]["startTime"] = "2026-11-25T00:00:00Z"


def new_pods(plain: Plain) -> None:
    """A rollout of the same template: other names, addresses and hashes."""
    for number, pod in enumerate(items(plain, "pods@default")):
        pod["metadata"]["name"] = f"my-app-77777-{number}"
        pod["metadata"]["labels"]["pod-template-hash"] = "77777"
        pod["status"]["podIP"] = f"127.230.9.{number}"
    for number, one in enumerate(items(plain, "endpointslices@default")[0]["endpoints"]):
        one["addresses"] = [f"127.230.9.{number}"]
    items(plain, "endpointslices@default")[0]["metadata"]["name"] = "my-app-service-zzzzz"
    plain["kube"]["lists"]["replicasets@default"]["value"] = []


def orders(plain: Plain) -> None:
    for answer in plain["dns"]["answers"]:
        answer["value"]["addresses"] = list(reversed(answer["value"]["addresses"]))
    for found in plain["aws"]["target_health"].values():
        found["value"] = list(reversed(found["value"]))
    service(plain)["spec"]["ports"].reverse()
    traefik(plain)["args"].reverse()


def book_keeping(plain: Plain) -> None:
    deployment = items(plain, "deployments@default")[0]
    deployment["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = "9"
    deployment["status"]["observedGeneration"] = 9
    ingress(plain)["status"] = {"loadBalancer": {"ingress": [{"hostname": "x"}]}}
    service(plain)["spec"]["clusterIP"] = "10.0.0.99"
    plain["traefik"]["replicas"][0]["log"]["value"] = []


def foreign_objects(plain: Plain) -> None:
    other = {"kind": "Middleware", "metadata": {"name": "theirs", "namespace": "default"},
             "spec": {"compress": {}}}  # fmt: skip
    items(plain, "middlewares").append(other)
    route = {"kind": "Ingress", "metadata": {"name": "theirs", "namespace": "default"},
             "spec": {"rules": [{"host": "theirs.example.com"}]}}  # fmt: skip
    items(plain, "ingresses").append(route)
    plain["kube"]["totals"]["ingresses"] = 2


@pytest.mark.parametrize(
    "edit", [restarts, new_pods, orders, book_keeping, foreign_objects], ids=lambda f: f.__name__
)
def test_noise(edit: Callable[[Plain], None]) -> None:
    assert since_healthy(edit) == []


def test_versions_and_uids_are_noise() -> None:
    assert since_healthy(versions, namespaces_as_they_were) == []


# --- what was not seen --------------------------------------------------------------------


@pytest.mark.parametrize("why", ["denied", "timed_out", "not_found"])
@pytest.mark.parametrize("key", ["ingresses", "services", "deployments@default", "namespaces"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_what_was_not_seen_is_no_change(why: str, key: str, side: str) -> None:
    def blind(plain: Plain) -> None:
        plain["kube"]["lists"][key] |= {"value": None, "why": why}

    pair = [recorded("healthy"), edited(blind)]
    assert [one for one in changes(*(pair if side == "after" else pair[::-1]))
            if one.field == "exists" or one.before == 0] == []  # fmt: skip


def test_a_list_that_was_cut_proves_no_deletion() -> None:
    def cut(plain: Plain) -> None:
        plain["kube"]["lists"]["ingresses"]["value"] = []

    def counted(plain: Plain) -> None:
        plain["kube"]["totals"]["ingresses"] = 0

    assert since_healthy(cut) == []  # one was there, and none was kept
    assert since_healthy(cut, counted) == ["Ingress default/my-app-ingress exists: True → False"]


def test_another_cluster_account_or_resolver_is_not_compared() -> None:
    def cluster(plain: Plain) -> None:
        items(plain, "namespaces")[0]["metadata"]["uid"] = "another"
        for item in items(plain, "namespaces"):
            item["metadata"]["uid"] = "another"
        service(plain)["spec"]["ports"][0]["targetPort"] = 1

    def account(plain: Plain) -> None:
        plain["vantage"]["aws_account"] = "000000000000"
        plain["aws"]["target_groups"]["value"][0]["Port"] = 1

    def resolver(plain: Plain) -> None:
        for answer in plain["dns"]["answers"]:
            answer["value"] |= {"resolver": "10.9.9.9:53", "addresses": ["10.1.1.1"]}

    assert since_healthy(cluster, account, resolver) == []


def test_aws_that_was_denied_is_no_change() -> None:
    def blind(plain: Plain) -> None:
        for found in (*plain["aws"]["listeners"].values(), *plain["aws"]["target_health"].values(),
                      plain["aws"]["target_groups"], plain["aws"]["security_groups"]):  # fmt: skip
            found |= {"value": None, "why": "denied"}

    assert since_healthy(blind) == []


def test_what_aws_described_but_once_is_no_change() -> None:
    def one_group_less(plain: Plain) -> None:
        plain["aws"]["target_groups"]["value"].pop()

    def no_outbound_rules(plain: Plain) -> None:
        for group in plain["aws"]["security_groups"]["value"]:
            group.pop("IpPermissionsEgress")

    assert since_healthy(one_group_less) == []
    assert since_healthy(no_outbound_rules) == []


# --- particular parties --------------------------------------------------------------------


def test_addresses_of_the_same_load_balancer_may_change() -> None:
    def moved(plain: Plain) -> None:
        addresses = ["127.230.240.77", "127.230.240.78"]
        for answer in plain["dns"]["answers"]:
            if answer["value"]["rrtype"] == "A":
                answer["value"]["addresses"] = addresses
        for found in plain["dns"]["names"].values():
            found["value"] = addresses

    def fewer(plain: Plain) -> None:
        plain["dns"]["answers"][0]["value"]["addresses"] = ["127.230.240.30"]

    assert since_healthy(moved) == []
    assert since_healthy(fewer) == ["DNSRecord myapp.example.com A: 127.230.240.31 → None"]


def test_a_secret_counts_by_its_version_and_its_keys() -> None:
    def secret(version: str, *keys: str) -> Callable[[Plain], None]:
        entry = {"manager": "cert-manager", "operation": "Update", "time": f"2026-01-0{version}",
                 "fields": {"f:data": {f"f:{key}": {} for key in keys}}}  # fmt: skip
        obj = {"kind": "Secret", "keys": list(keys),
               "metadata": {"name": "myapp-tls", "namespace": "default",
                            "resourceVersion": version, "managedFields": [entry]}}  # fmt: skip

        def put(plain: Plain) -> None:
            plain["kube"]["objects"]["secrets@default/myapp-tls"] |= {"value": obj, "why": None}

        return put

    def gone(plain: Plain) -> None:
        plain["kube"]["objects"]["secrets@default/myapp-tls"] |= {"value": None, "why": "not_found"}

    old = edited(secret("1", "tls.crt", "tls.key"))
    found = changes(old, edited(secret("2", "tls.crt", "tls.key")))
    assert told(found) == ["Secret default/myapp-tls metadata.resourceVersion: 1 → 2"]
    assert (found[0].at, found[0].by) == ("2026-01-02", "cert-manager")
    found = changes(old, edited(secret("2", "tls.crt")))
    assert told(found)[1] == "Secret default/myapp-tls data: tls.key → None"
    assert told(changes(old, edited(gone))) == ["Secret default/myapp-tls exists: True → False"]
    assert changes(old, recorded("healthy")) == ()  # denied now


def test_what_the_route_names_is_on_the_way() -> None:
    def middleware(spec: Plain) -> Callable[[Plain], None]:
        def put(plain: Plain) -> None:
            annotations = ingress(plain)["metadata"].setdefault("annotations", {})
            key = "traefik.ingress.kubernetes.io/router.middlewares"
            annotations[key] = "default-chain@kubernetescrd"
            items(plain, "middlewares").extend([
                {"kind": "Middleware", "metadata": {"name": "chain", "namespace": "default"},
                 "spec": {"chain": {"middlewares": [{"name": "limit"}]}}},
                {"kind": "Middleware", "metadata": {"name": "limit", "namespace": "default"},
                 "spec": spec},
            ])  # fmt: skip
            plain["kube"]["totals"]["middlewares"] = 2

        return put

    before = edited(middleware({"rateLimit": {"average": 100}}))
    after = edited(middleware({"rateLimit": {"average": 1}}))
    assert told(changes(before, after)) == [
        "Middleware default/limit spec.rateLimit.average: 100 → 1"
    ]


def test_a_route_that_no_longer_names_the_host() -> None:
    def elsewhere(plain: Plain) -> None:
        items(plain, "ingresses")[0] = {
            "kind": "Ingress", "slim": True,
            "metadata": {"name": "my-app-ingress", "namespace": "default"},
            "spec": {"hosts": ["b.example.com"]},
        }  # fmt: skip

    assert since_healthy(elsewhere) == [
        "Ingress default/my-app-ingress hosts: myapp.example.com → b.example.com"
    ]


def test_a_relabelled_pod_and_an_unready_node() -> None:
    def relabel(plain: Plain) -> None:
        pod = items(plain, "pods@default")[0]
        pod["metadata"]["labels"]["app"] = "other"
        pod["status"]["podIP"] = "127.230.9.9"

    def node(plain: Plain) -> None:
        condition = next(c for c in items(plain, "nodes")[0]["status"]["conditions"]
                         if c["type"] == "Ready")  # fmt: skip
        condition["status"] = "False"

    pod = items(msgspec.to_builtins(recorded("healthy")), "pods@default")[0]["metadata"]["name"]
    assert since_healthy(relabel, node) == [
        f"Pod default/{pod} metadata.labels.app: my-app → other",
        "Node node-1 status.Ready: True → False",
    ]


def test_traefiks_image_and_version() -> None:
    def upgraded(plain: Plain) -> None:
        for replica in plain["traefik"]["replicas"]:
            replica["version"]["value"] = "3.9.0"

    def image(plain: Plain) -> None:
        traefik(plain)["image"] = "traefik:v3.9.0"

    (said,) = since_healthy(upgraded)
    assert said.startswith("Deployment api-gateway-system/traefik version: 3.")
    assert said.endswith(" → 3.9.0")
    (said,) = since_healthy(upgraded, image)
    assert "containers[0].image: " in said


def test_security_groups_in_words() -> None:
    def closed(plain: Plain) -> None:
        plain["aws"]["security_groups"]["value"][0]["IpPermissions"].pop(0)

    assert since_healthy(closed) == [
        "SecurityGroup sg-0a1b2c3d4e5f60002 IpPermissions: tcp 443 0.0.0.0/0 → None"
    ]


def test_addresses_of_ip_targets_are_counted() -> None:
    def by_address(*addresses: str, port: int = 8443) -> Snapshot:
        def put(plain: Plain) -> None:
            for group in plain["aws"]["target_groups"]["value"]:
                group["TargetType"] = "ip"
            for found in plain["aws"]["target_health"].values():
                found["value"] = [
                    {"Target": {"Id": one, "Port": port}, "TargetHealth": {"State": "healthy"}}
                    for one in addresses
                ]

        return edited(put)

    assert changes(by_address("10.0.0.1", "10.0.0.2"), by_address("10.0.0.3", "10.0.0.4")) == ()
    fewer = told(changes(by_address("10.0.0.1", "10.0.0.2"), by_address("10.0.0.3")))
    assert "TargetGroup myapp-web registeredTargets: 2 → 1" in fewer
    moved = told(changes(by_address("10.0.0.1"), by_address("10.0.0.1", port=1)))
    assert "TargetGroup myapp-web targetPorts: 8443 → 1" in moved


# --- when and by whom ----------------------------------------------------------------------

FIELDS = {"f:spec": {"f:selector": {}}}


def writers(*entries: tuple[str, str, Plain]) -> Callable[[Plain], None]:
    def put(plain: Plain) -> None:
        service(plain)["metadata"]["managedFields"] = [
            {"manager": manager, "operation": "Update", "time": time, "fields": fields}
            for manager, time, fields in entries
        ]

    return put


def select(plain: Plain) -> None:
    service(plain)["spec"]["selector"]["app"] = "other"


HELM = ("helm", "2026-01-01T00:00:00Z", {"f:spec": {"f:type": {}}})


@pytest.mark.parametrize(
    ("then", "now", "author"),
    [
        ([HELM], [HELM, ("kubectl-edit", "2026-02-01T00:00:00Z", FIELDS)],
         ("2026-02-01T00:00:00Z", "kubectl-edit")),
        # The same manager as before, which owned the field already, and wrote again.
        ([("helm", "2026-01-01T00:00:00Z", FIELDS)], [("helm", "2026-02-01T00:00:00Z", FIELDS)],
         ("2026-02-01T00:00:00Z", "helm")),
        # An entry that is as it was did not change anything.
        ([("helm", "2026-01-01T00:00:00Z", FIELDS)], [("helm", "2026-01-01T00:00:00Z", FIELDS)],
         (None, None)),
        # Somebody who wrote other fields is not accused.
        ([HELM], [HELM, ("argo", "2026-02-01T00:00:00Z", {"f:spec": {"f:ports": {}}})],
         (None, None)),
        ([HELM], [], (None, None)),
        # Fields that were too long to be kept.
        ([HELM], [("argo", "2026-02-01T00:00:00Z", {})], (None, None)),
    ],
)  # fmt: skip
def test_author(then: Any, now: Any, author: tuple[str | None, str | None]) -> None:
    (change, *_) = changes(edited(writers(*then)), edited(select, writers(*now)))
    assert change.field == "spec.selector.app"
    assert (change.at, change.by) == author


def scaled(replicas: int, *managers: str) -> Callable[[Plain], None]:
    """As Kubernetes v1.36 keeps it: what the scale subresource wrote is not dated."""
    entries = [
        {"manager": manager, "operation": "Update", "subresource": "scale",
         "fields": {"f:spec": {"f:replicas": {}}}}
        for manager in managers
    ]  # fmt: skip

    def scale(plain: Plain) -> None:
        deployment = items(plain, "deployments@default")[0]
        deployment["spec"]["replicas"] = replicas
        deployment["metadata"]["managedFields"] = entries

    return scale


@pytest.mark.parametrize(
    ("before", "after", "by"),
    [
        (scaled(4, "kubectl"), scaled(2, "kubectl"), "kubectl"),
        (scaled(4, "kubectl"), scaled(9, "kube-controller-manager"), "kube-controller-manager"),
        # Kubernetes forgets the owner of replicas that the scale subresource set to 0.
        (scaled(4, "kubectl"), scaled(0), None),
    ],
)
def test_who_scaled(
    before: Callable[[Plain], None], after: Callable[[Plain], None], by: str | None
) -> None:
    (change, *_) = changes(edited(before), edited(after))
    assert change.field == "spec.replicas"
    assert (change.at, change.by) == (None, by)


@pytest.mark.parametrize(
    ("written", "by"),
    [("10", "helm"), ("12", "helm"), ("13", None), (None, None), ("nonsense", None)],
)
def test_who_created_it(written: str | None, by: str | None) -> None:
    def policy(plain: Plain) -> None:
        entry = {"manager": "helm", "operation": "Update", "fields": {}}
        if written:
            entry["time"] = f"2026-02-01T00:00:{written}Z"
        meta = {"name": "closed", "namespace": "default", "managedFields": [entry],
                "creationTimestamp": "2026-02-01T00:00:10Z"}  # fmt: skip
        items(plain, "networkpolicies@default").append({"kind": "NetworkPolicy", "metadata": meta})

    (change,) = changes(recorded("healthy"), edited(policy))
    assert (change.field, change.at, change.by) == ("exists", "2026-02-01T00:00:10Z", by)


def test_nobody_is_named_for_what_was_removed() -> None:
    def remove(plain: Plain) -> None:
        del service(plain)["spec"]["selector"]["app"]

    now = ("kubectl-edit", "2026-02-01T00:00:00Z", {"f:spec": {"f:selector": {}}})
    (change, *_) = changes(edited(writers(HELM)), edited(remove, writers(HELM, now)))
    assert (change.field, change.after) == ("spec.selector.app", None)
    assert (change.at, change.by) == (None, None)


def test_what_was_declared_stands_before_what_follows_from_it() -> None:
    def relabel(plain: Plain) -> None:
        template = items(plain, "deployments@default")[0]["spec"]["template"]
        template["metadata"]["labels"]["app"] = "other"
        items(plain, "endpointslices@default")[0]["endpoints"] = []

    roots = replay(recorded("svc-selector")).root_causes  # the Service is its object
    found = told(changes(recorded("healthy"), edited(relabel), roots))
    assert found == [
        "Deployment default/my-app spec.template.metadata.labels.app: my-app → other",
        "Service default/my-app-service readyEndpoints: 2 → 0",
    ]


def test_the_latest_comes_first_but_for_the_root_causes() -> None:
    def late(plain: Plain) -> None:
        obj = ingress(plain)
        obj["metadata"]["labels"] = {"a": "b"}
        obj["metadata"]["managedFields"] = [
            {"manager": "argo", "operation": "Update", "time": "2026-03-01T00:00:00Z",
             "fields": {"f:metadata": {"f:labels": {"f:a": {}}}}}
        ]  # fmt: skip

    after = edited(select, late, writers(("edit", "2026-02-01T00:00:00Z", FIELDS)))
    assert [one.by for one in changes(recorded("healthy"), after)] == ["argo", "edit"]
    roots = replay(recorded("svc-selector")).root_causes
    assert [one.by for one in changes(recorded("healthy"), after, roots)] == ["edit", "argo"]


def test_lines_of_a_configuration_file() -> None:
    def file(text: str, time: str) -> Callable[[Plain], None]:
        entry = {"manager": "helm", "operation": "Update", "time": time,
                 "fields": {"f:data": {".": {}, "f:traefik.yml": {}}}}  # fmt: skip
        obj = {"kind": "ConfigMap", "data": {"traefik.yml": text},
               "metadata": {"name": "static", "namespace": "api-gateway-system",
                            "managedFields": [entry]}}  # fmt: skip

        def put(plain: Plain) -> None:
            objects = plain["kube"]["objects"]
            objects["configmaps@api-gateway-system/static"] = {"value": obj}

        return put

    before = edited(file("entryPoints:\n  web:\n    address: :80\n", "2026-01-01T00:00:00Z"))
    after = edited(file("entryPoints:\n  web:\n    address: :81\n", "2026-02-01T00:00:00Z"))
    (change,) = changes(before, after)
    assert told((change,)) == [
        'ConfigMap api-gateway-system/static data["traefik.yml"]: address: :80 → address: :81'
    ]
    assert (change.at, change.by) == ("2026-02-01T00:00:00Z", "helm")
