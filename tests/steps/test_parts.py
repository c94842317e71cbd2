"""A part judged as a part: one Service of several, one pod of several, one node of several."""

import copy
from typing import Any

import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Report, Severity, Verdict
from tests.steps.edits import Edit, collected
from tests.steps.scenes import one_service_scaled_to_zero

ALLOW = "--providers.kubernetescrd.allowemptyservices=true"


def roots(report: Report) -> list[tuple[str, str, float | None]]:
    return [(one.code, str(one.object), one.share) for one in report.root_causes]


def loud(report: Report) -> list[tuple[str, str]]:
    found = (f for step in report.steps for f in step.findings)
    return [(f.code, str(f.object)) for f in found if f.severity is not Severity.INFO]


# --- a Service of several


def services(edit: Edit) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = edit.one("ingressroutes", "my-app")["spec"]["routes"][0][
        "services"
    ]
    return found


EMPTIED = [("END020", "Service default/canary", None)]


def mended(edit: Edit, *, allowed: bool = False) -> Edit:
    """The route without the empty Service, or with it as Traefik is told to keep it."""
    whole = Edit("ir-weighted-empty")
    edit.data["traefik"], edit.data["http"] = whole.data["traefik"], whole.data["http"]
    edit.http = edit.data["http"]
    edit.answer(200, "serves /\n")
    edit.arguments(*([ALLOW] if allowed else ()))
    services(edit)[1:] = [services(edit)[1] | {"weight": 0}] if allowed else []
    return edit


def test_one_service_scaled_to_zero_takes_the_route_down() -> None:
    report = replay(one_service_scaled_to_zero().snapshot())
    assert (report.verdict, roots(report)) == (Verdict.BROKEN, EMPTIED)
    assert "allowemptyservices" in report.root_causes[0].fix


@pytest.mark.parametrize("allowed", [False, True])
def test_the_mended_ones_are_healthy(allowed: bool) -> None:
    report = replay(mended(one_service_scaled_to_zero(), allowed=allowed).snapshot())
    assert (report.verdict, roots(report), loud(report)) == (Verdict.HEALTHY, [], [])


def _by_traefik_service(edit: Edit, kind: str, spec: dict[str, Any]) -> None:
    edit.add("traefikservices", "TraefikService", "split", {kind: spec})
    services(edit)[:] = [{"name": "split", "kind": "TraefikService"}]


def weight_zero(edit: Edit) -> None:
    services(edit)[1]["weight"] = 0


def weighted(edit: Edit) -> None:
    _by_traefik_service(edit, "weighted", {"services": copy.deepcopy(services(edit))})


def failover(edit: Edit) -> None:
    own, other = copy.deepcopy(services(edit))
    _by_traefik_service(edit, "failover", {"service": own, "fallback": other})


def copies(edit: Edit) -> None:
    own, other = copy.deepcopy(services(edit))
    _by_traefik_service(edit, "mirroring", {**own, "mirrors": [other | {"percent": 10}]})


def stateful(edit: Edit) -> None:
    scaled = edit.items("deployments@default").pop()
    edit.add("statefulsets@default", "StatefulSet", "canary", scaled["spec"])


@pytest.mark.parametrize("how", [weight_zero, weighted, failover, copies, stateful])
def test_whatever_its_weight_and_its_way(how: Any) -> None:
    edit = one_service_scaled_to_zero()
    how(edit)
    report = replay(edit.snapshot())
    assert (report.verdict, roots(report)) == (Verdict.BROKEN, EMPTIED)


def test_where_traefik_is_told_to_keep_it_a_part_fails() -> None:
    edit = mended(one_service_scaled_to_zero())
    services(edit).append({"name": "canary", "port": 80, "weight": 4})
    edit.arguments(ALLOW)
    edit.answer(503, "no available server\n", hops=("traefik-pod",), only=1)
    report = replay(edit.snapshot())
    assert (report.verdict, roots(report)) == (
        Verdict.DEGRADED,
        [("END020", "Service default/canary", 0.5)],
    )
    assert "weight" in report.root_causes[0].fix


def test_where_all_are_scaled_to_zero_it_is_on_purpose() -> None:
    edit = one_service_scaled_to_zero()
    edit.one("deployments@default", "my-app")["spec"]["replicas"] = 0
    edit.app_pods.clear()
    for one in edit.items("endpointslices@default"):
        one["endpoints"] = []
    edit.without_pods()
    report = replay(edit.snapshot())
    assert roots(report) == []
    assert {f.code for s in report.steps for f in s.findings} >= {"END011"}


def test_a_service_that_selects_nobody_takes_the_whole_route_down() -> None:
    edit = one_service_scaled_to_zero()
    edit.items("deployments@default").pop()
    assert roots(replay(edit.snapshot())) == [("END001", "Service default/canary", None)]


# --- a pod, a node, all of them


def lost(edit: Edit, *pods: str, error: str = "connect_timeout") -> Edit:
    """No connection to these pods comes about, and requests meet them."""
    for probe in edit.probes("pod"):
        if not pods or probe["name"] in pods:
            gone = {"error": error, "error_text": "no answer", "error_phase": "connect"}
            probe["exchanges"][-1] |= {"status": None, "body": "", "body_bytes": 0, **gone}
    return edit


def hanging(edit: Edit, *, only: int | None = None) -> Edit:
    for hop in ("client", "node", "traefik-pod"):
        edit.fail("read_timeout", "no answer", "first_byte", (hop,), only)
    edit.no_other_scheme()
    return edit


def without_owners(edit: Edit) -> Edit:
    for pod in edit.app_pods:
        pod["metadata"].pop("ownerReferences")
    edit.items("deployments@default").clear()
    edit.items("replicasets@default").clear()
    return edit


def names(edit: Edit) -> list[str]:
    return [pod["metadata"]["name"] for pod in edit.app_pods]


def more_pods(edit: Edit, count: int) -> Edit:
    """So many pods more behind the Service, which answer as the first does."""
    asked = copy.deepcopy(edit.probes("pod")[0])
    for number in range(count):
        name, address = f"my-app-{number}", f"127.230.240.{80 + number}"
        pod, endpoint = copy.deepcopy(edit.app_pods[0]), copy.deepcopy(edit.endpoints[0])
        pod["metadata"]["name"], pod["status"]["podIP"] = name, address
        edit.app_pods.append(pod)
        edit.endpoints.append(endpoint | {"addresses": [address]})
        endpoint["targetRef"] |= {"name": name}
        probe = copy.deepcopy(asked)
        probe |= {"name": name, "address": address, "member": f"{name} {address}:8080"}
        edit.http["hops"].append(collected(probe))
    return edit


SERVICE = "Service default/my-app-service"


def test_one_pod_of_two_that_belong_to_nobody_is_accused_alone() -> None:
    edit = without_owners(Edit())
    report = replay(hanging(lost(edit, names(edit)[1]), only=1).snapshot())
    assert roots(report) == [("END021", f"Pod default/{names(edit)[1]}", 0.5)]
    assert report.verdict is Verdict.DEGRADED
    assert "label" not in report.root_causes[0].fix
    report = replay(without_owners(Edit()).snapshot())
    assert (report.verdict, loud(report)) == (Verdict.HEALTHY, [])


def test_one_pod_that_belongs_to_nobody_and_refuses_is_no_other_workload() -> None:
    edit = without_owners(Edit())
    edit.fail("refused", "connection refused", hops=("pod",), only=1)
    edit.answer(502, "Bad Gateway", hops=("client",), only=1)
    (root,) = replay(edit.snapshot()).root_causes
    assert (root.code, str(root.object)) == ("END013", SERVICE)
    assert "label" not in root.fix


def test_all_pods_of_one_node_are_that_node() -> None:
    edit = more_pods(Edit(), 2)
    first, second, *others = names(edit)
    edit.on_node("node-1", first, second)
    edit.on_node("node-9", *others)
    report = replay(hanging(lost(edit, *others), only=1).snapshot())
    assert roots(report) == [("END021", "Node node-9", 0.5)]


def test_pods_of_several_nodes_are_the_service_and_not_the_application() -> None:
    edit = Edit()
    edit.on_node("node-8", names(edit)[0])
    edit.on_node("node-9", names(edit)[1])
    report = replay(hanging(lost(edit)).snapshot())
    assert (report.verdict, roots(report)) == (Verdict.BROKEN, [("END021", SERVICE, None)])
    assert "network plugin" in report.root_causes[0].fix


def test_no_route_to_the_pods_and_traefiks_502() -> None:
    edit = Edit()
    edit.answer(502, "Bad Gateway")
    edit.no_other_scheme()
    report = replay(lost(edit, error="unreachable").snapshot())
    assert roots(report) == [("END021", SERVICE, None)]


def test_what_only_this_machine_does_not_reach_accuses_nobody() -> None:
    served = replay(lost(Edit()).snapshot())
    assert (served.verdict, loud(served)) == (Verdict.HEALTHY, [])
    edit = hanging(lost(Edit()))
    edit.time_out("traefik-pod")
    assert "END021" not in {code for code, _ in loud(replay(edit.snapshot()))}


def test_one_lost_pod_that_no_request_met_is_a_warning() -> None:
    edit = Edit()
    report = replay(lost(edit, names(edit)[0]).snapshot())
    assert (report.verdict, roots(report)) == (Verdict.HEALTHY, [])
    assert loud(report) == [("END021", f"Pod default/{names(edit)[0]}")]


def test_pods_that_connect_and_stay_silent_are_the_application() -> None:
    edit = hanging(Edit())
    edit.fail("read_timeout", "no answer", "first_byte", ("pod",))
    assert [(c, o) for c, o, _ in roots(replay(edit.snapshot()))] == [
        ("REQ003", "Application default/my-app-service")
    ]


def test_unseen_pods_on_other_nodes_than_traefiks_are_not_accused_alone() -> None:
    edit = hanging(Edit())
    edit.http["hops"] = []
    edit.on_node("node-9")
    report = replay(edit.snapshot())
    assert (report.verdict, roots(report)) == (Verdict.BROKEN, [("END021", SERVICE, None)])
    words = report.root_causes[0].message + report.root_causes[0].fix
    assert "network plugin" in words
    assert "database" not in words
    edit.on_node("node-1")  # where a Traefik is: it needs no network between nodes
    found = [(code, name) for code, name, _ in roots(replay(edit.snapshot()))]
    assert found == [("REQ003", "Application default/my-app-service")]


ACCESS = (
    '{"DownstreamStatus":504,"OriginStatus":504,"OriginContentSize":15,"Duration":30000420326,'
    '"RequestHost":"myapp.example.com","ServiceAddr":"127.230.240.61:8080"}'
)


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        ("504 Gateway Timeout error=dial tcp 127.230.240.61:8080: i/o timeout", {}),
        (ACCESS, {"OriginStatus": "504", "OriginContentSize": "15",
                  "ServiceAddr": "127.230.240.61:8080"}),
    ],
)  # fmt: skip
def test_traefiks_own_word_for_a_connection_that_timed_out(
    raw: str, fields: dict[str, str]
) -> None:
    edit = hanging(Edit())
    edit.http["hops"] = []
    edit.log(raw, "", "debug", **fields)
    (root,) = replay(edit.snapshot()).root_causes
    assert (root.code, str(root.object)) == ("END021", SERVICE)
    assert "time out" in root.message
    assert raw in root.evidence[0].text
    for replica in edit.replicas:
        replica["log"]["value"][-1]["time"] = "2020-01-01T00:00:00Z"
    assert "END021" not in {code for code, _, _ in roots(replay(edit.snapshot()))}


# --- what listens


def test_a_port_that_is_declared_and_that_every_traefik_refuses() -> None:
    edit = Edit()
    edit.fail("refused", "connection refused", hops=("client", "node", "traefik-pod"))
    edit.no_other_scheme()
    report = replay(edit.snapshot())
    traefik = "Deployment api-gateway-system/traefik"
    assert (report.verdict, roots(report)) == (Verdict.BROKEN, [("SVC005", traefik, None)])
    assert "127.0.0.1" in report.root_causes[0].fix


def test_what_only_this_machine_is_refused_is_no_fault_of_traefiks() -> None:
    edit = Edit()
    edit.fail("refused", "connection refused", hops=("traefik-pod",))
    report = replay(edit.snapshot())
    assert (report.verdict, loud(report)) == (Verdict.HEALTHY, [])


def test_a_traefik_that_nobody_owns_has_a_service_of_its_applications_name() -> None:
    edit = Edit("tsvc-missing")
    for number, pod in enumerate(edit.traefik_pods):
        pod["metadata"].pop("ownerReferences", None)
        pod["metadata"]["name"] = f"traefik-{number}"
    (root,) = replay(edit.snapshot()).root_causes
    assert (root.code, str(root.object)) == ("SVC001", "Service api-gateway-system/traefik")
