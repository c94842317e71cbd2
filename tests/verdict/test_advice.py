"""Where a fix is to be made, by what the object says of who keeps it."""

from typing import Any

import msgspec
import pytest

from hopcheck.engine.replay import replay
from hopcheck.model import Finding, Vantage
from hopcheck.verdict.advice import advised
from tests.steps.edits import Edit

FLUX = "kustomize.toolkit.fluxcd.io"


def cause(edit: Edit) -> Finding:
    (found,) = replay(edit.snapshot()).root_causes
    return found


def broken(**metadata: Any) -> Edit:
    """The application's Service selects nothing, and is described so."""
    edit = Edit("svc-selector")
    edit.service["metadata"].update(metadata)
    return edit


RELEASE = {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "web"}
TRACKED = {"argocd.argoproj.io/tracking-id": "shop:/Service:default/my-app-service"}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"annotations": RELEASE}, "is of Helm release shop in namespace web: change it there"),
        (
            {"labels": {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "s"}},
            "is of Helm release s in namespace default",
        ),
        ({"annotations": RELEASE | TRACKED}, "is of Argo CD's application shop"),
        (
            {"annotations": RELEASE, "labels": {f"{FLUX}/name": "apps", f"{FLUX}/namespace": "f"}},
            "is of Flux's Kustomization f/apps",
        ),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "is managed by Argo CD"),
        ({"managedFields": [{"manager": "HashiCorp"}]}, "is managed by Terraform"),
        ({"labels": {"app.kubernetes.io/managed-by": "tanka"}}, "is managed by tanka"),
    ],
)
def test_it_is_told_where_to_make_the_change(metadata: dict[str, Any], said: str) -> None:
    assert f". Service default/my-app-service {said}" in cause(broken(**metadata)).fix


def test_nobody_is_named_where_nothing_says_so() -> None:
    by_hand = broken(
        labels={"app.kubernetes.io/managed-by": "kubectl"},
        managedFields=[{"manager": "kubectl-edit"}, {"manager": "kube-controller-manager"}],
    )
    assert "change it" not in cause(by_hand).fix


def test_what_is_made_by_a_controller_is_changed_at_its_owner_and_that_at_its_own() -> None:
    owner = {"kind": "Deployment", "name": "my-app", "controller": True}
    edit = broken(ownerReferences=[owner])
    edit.one("deployments@default", "my-app")["metadata"]["annotations"] = RELEASE
    found = cause(edit)
    assert "Service default/my-app-service is made by Deployment default/my-app" in found.fix
    assert "Deployment default/my-app is of Helm release shop" in found.fix
    assert found.fix_commands == ()


def test_owners_in_a_circle_end() -> None:
    itself = {"kind": "Service", "name": "my-app-service", "controller": True}
    assert cause(broken(ownerReferences=[itself])).fix.count("is made by") == 3


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("elbv2.k8s.aws/cluster", "shop", "is kept by a controller of the cluster"),
        ("aws:cloudformation:stack-name", "net", "is of CloudFormation's stack net"),
        ("ManagedBy", "terraform", "is managed by Terraform"),
        ("Name", "terraform", ""),
    ],
)
def test_a_security_group_is_told_by_its_tags(key: str, value: str, said: str) -> None:
    edit = Edit("nlb-sg")
    for group in edit.aws["security_groups"]["value"]:
        group["Tags"] = [{"Key": "Owner", "Value": "net"}, {"Key": key, "Value": value}]
    found = cause(edit)
    assert found.object.kind == "SecurityGroup"
    assert found.fix.count(f"{found.object} ") == bool(said)
    assert said in found.fix


@pytest.mark.parametrize(
    ("name", "controllers"),
    [("k8s-traefik-traefik-0a1b2c3d4e", True), ("k8s-traefik", False), ("myapp-websecure", False)],
)
def test_a_controllers_target_group_is_told_by_its_name(name: str, *, controllers: bool) -> None:
    edit = Edit("tg-health-port")
    edit.group()["TargetGroupName"] = name
    found = cause(edit)
    assert found.object.name == name
    assert ("kept by a controller" in found.fix) is controllers


def test_a_command_is_for_the_cluster_that_was_looked_at() -> None:
    snapshot = Edit().snapshot()
    found = msgspec.structs.replace(
        cause(broken()), fix_commands=("kubectl -n a patch svc b", "aws elbv2 modify-listener")
    )
    seen = Vantage(kube_context="arn:aws:eks:x y", aws_region="eu-west-1")
    there = msgspec.structs.replace(snapshot, vantage=seen)
    assert advised(found, there).fix_commands == (
        "kubectl --context 'arn:aws:eks:x y' -n a patch svc b",
        "aws --region eu-west-1 elbv2 modify-listener",
    )
    nowhere = msgspec.structs.replace(snapshot, vantage=Vantage(in_cluster=True))
    assert advised(found, nowhere).fix_commands == found.fix_commands
