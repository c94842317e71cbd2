"""Commands of a fix: what they change, and where none is offered."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from hopcheck.catalogue.catalogue import Raw, make
from hopcheck.engine.replay import replay
from hopcheck.model import Finding, ObjectRef
from hopcheck.model.kubernetes import Ingress, Service
from hopcheck.model.read import read
from hopcheck.steps import fixing
from tests.steps.edits import SNAPSHOTS, Edit

HOSTILE = "a'; touch /tmp/owned #`id`$(id)"


def service(**spec: Any) -> Service:
    made = {"metadata": {"name": "shop", "namespace": "web"}, "spec": spec}
    found = read(Service, made)
    assert found is not None
    return found


def operations(words: dict[str, Any]) -> list[dict[str, Any]]:
    *_, patch = shlex.split(words["edit"])
    found: list[dict[str, Any]] = json.loads(patch)
    return found


def test_a_patch_tests_what_it_replaces() -> None:
    obj = service(ports=[{"name": "http", "port": 80, "targetPort": "web"}])
    words = fixing.patch(obj, {"spec.ports[0].targetPort": 8080, "spec.ports[0].nodePort": 30001})
    assert operations(words) == [
        {"op": "test", "path": "/spec/ports/0/targetPort", "value": "web"},
        {"op": "replace", "path": "/spec/ports/0/targetPort", "value": 8080},
        {"op": "add", "path": "/spec/ports/0/nodePort", "value": 30001},
    ]
    assert words["edit"].startswith("-n web patch services shop --type=json -p ")
    assert words["edits"] == ObjectRef("Service", "shop", "web")


def test_keys_with_slashes_are_escaped() -> None:
    obj = read(Ingress, {"metadata": {"name": "a", "annotations": {"x.io/y~z": "1"}}})
    assert operations(fixing.patch(obj, {"metadata.annotations[x.io/y~z]": "2"})) == [
        {"op": "test", "path": "/metadata/annotations/x.io~1y~0z", "value": "1"},
        {"op": "replace", "path": "/metadata/annotations/x.io~1y~0z", "value": "2"},
    ]


def test_nothing_where_it_cannot_be_said() -> None:
    obj = service(selector={"app": "REDACTED"}, ports=[{"port": 80}])
    assert fixing.patch(None, {"spec.type": "NodePort"}) == {}
    assert fixing.patch(obj, {"spec.type": ""}) == {}, "the value is not known"
    assert fixing.patch(obj, {"spec.type": None}) == {}, "the value is not known"
    assert fixing.patch(obj, {"spec.ports[3].nodePort": 1}) == {}, "there is no such port"
    assert fixing.patch(obj, {"spec.selector.app": "shop"}) == {}, "what stands there is not known"
    assert fixing.patch(obj, {"spec.ports[0].port": 80}) == {}, "it stands there already"
    slim = read(Service, {"metadata": {"name": "a"}, "slim": True})
    assert fixing.patch(slim, {"spec.type": "NodePort"}) == {}, "the rest of it is not known"


def test_hostile_names_stay_one_word() -> None:
    obj = service(selector={"app": HOSTILE})
    words = shlex.split(fixing.patch(obj, {"spec.selector": {"app": HOSTILE + "2"}})["edit"])
    assert words[:6] == ["-n", "web", "patch", "services", "shop", "--type=json"]
    assert len(words) == 8
    made = make(
        "END001",
        ObjectRef("Service", "shop", "web"),
        service="web/shop",
        selector="",
        ns="web",
        svc="shop",
        near="",
        labels="",
        edit=Raw(shlex.join(words)),
    )
    assert shlex.split(made.fix_commands[0]) == ["kubectl", *words, "--dry-run=server"]


@pytest.mark.parametrize(
    ("name", "names", "found"),
    [
        ("my-app-svc", ["my-app-service", "db"], "my-app-service"),
        ("my_app", ["my-app"], "my-app"),
        ("compres", ["compress"], "compress"),
        ("lgoin", ["login", "rate"], "login"),
        ("my-app", ["my-api"], ""),  # a letter in another's place may be another's name
        ("shop", ["shop1", "shop2"], ""),
        ("web", ["webs"], ""),
        ("auth", ["auth"], ""),
    ],
)
def test_a_slip_is_told_from_a_likeness(name: str, names: list[str], found: str) -> None:
    assert fixing.meant(name, names) == found
    assert fixing.near("my-app", ["my-api"]) == "my-api", "which may be shown all the same"


def cause(edit: Edit) -> Finding:
    (found,) = replay(edit.snapshot()).root_causes
    return found


def test_pods_that_another_service_selects_are_left_to_it() -> None:
    edit = Edit("svc-selector")
    assert cause(edit).fix_commands
    edit.add("services", "Service", "shop", {"selector": {"app": "my-app"}})
    found = cause(edit)
    assert found.code == "END001"
    assert found.fix_commands == ()


def test_pods_that_are_merely_alike_are_not_taken_for_the_services() -> None:
    edit = Edit("svc-selector")
    edit.service["spec"]["selector"] = {"app": "my-web"}
    found = cause(edit)
    assert "my-app" in found.message
    assert found.fix_commands == ()


def test_clients_that_are_judged_by_address_keep_their_policy() -> None:
    edit = Edit("tsvc-etp-local-no-pod")
    assert cause(edit).fix_commands
    allowed = {"ipAllowList": {"sourceRange": ["10.0.0.0/8"]}}
    edit.add("middlewares", "Middleware", "office", allowed)
    assert cause(edit).fix_commands == ()


def test_another_services_node_port_is_left_to_it() -> None:
    for name in ("tsvc-clusterip", "tg-nodeport-drift"):
        edit = Edit(name)
        number = {"tsvc-clusterip": 30001, "tg-nodeport-drift": 31443}[name]
        assert cause(edit).fix_commands
        spec = {"type": "NodePort", "ports": [{"port": 443, "nodePort": number}]}
        edit.add("services", "Service", "shop", spec)
        assert cause(edit).fix_commands == (), name


def test_a_route_of_an_inner_entry_point_is_not_made_public() -> None:
    edit = Edit("ing-ep-other")
    assert cause(edit).fix_commands
    edit.annotate(router__entrypoints="metrics")
    assert cause(edit).code == "ING011"
    assert cause(edit).fix_commands == ()


def test_a_class_is_given_where_one_traefik_alone_can_be_meant() -> None:
    edit = Edit("ing-class-other")
    found = cause(edit)
    assert (found.code, found.fix_commands) == ("ING002", ())


def recorded() -> list[str]:
    return sorted(path.name.removesuffix(".json.gz") for path in Path(SNAPSHOTS).glob("*.json.gz"))


def test_recorded_faults_have_commands_that_can_be_read() -> None:
    with_command = 0
    for name in recorded():
        for found in replay(Edit(name).snapshot()).root_causes:
            for line in found.fix_commands:
                with_command += 1
                words = shlex.split(line)
                assert words[0] in ("kubectl", "aws"), line
                assert words[1] in ("--context", "--region"), line
    assert with_command > 30


def test_what_all_references_share_is_no_likeness() -> None:
    known = ["default-secured@kubernetescrd", "web-rate-limits@kubernetescrd"]
    assert fixing.near("default-rate-limit@kubernetescrd", known) == known[1]
    assert fixing.near("default-compress@kubernetescrd", known) == ""
