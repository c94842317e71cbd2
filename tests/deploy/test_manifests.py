"""What is applied to a cluster: it renders, it is valid, and it holds no more than it needs."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from tests.deploy.rendering import DEPLOY, one, rendered

OVERLAY = """
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [{base}]
components: [{components}/irsa, {components}/serve]
images: [{{name: hopcheck, newName: registry.example.com/hopcheck, newTag: 9.9.9}}]
configMapGenerator:
  - {{name: hopcheck, namespace: hopcheck, behavior: replace, files: [hopcheck.toml]}}
patches:
  - target: {{kind: Role, name: hopcheck}}
    patch: |-
      - op: replace
        path: /metadata/namespace
        value: traefik
  - target: {{kind: RoleBinding, name: hopcheck}}
    patch: |-
      - op: replace
        path: /metadata/namespace
        value: traefik
"""
WHAT = ["base", "overlays/sharded", "an overlay of one's own"]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's overlay. kustomize takes no absolute paths to other roots."""
    directory = tmp_path_factory.mktemp("overlay")

    def relative(name: str) -> str:
        return str(Path(*[".."] * (len(directory.parts) - 1), *(DEPLOY / name).parts[1:]))

    (directory / "hopcheck.toml").write_text('hosts = ["shop.example.com"]\n')
    (directory / "kustomization.yaml").write_text(
        OVERLAY.format(base=relative("base"), components=relative("components"))
    )
    return directory


@pytest.fixture(params=WHAT)
def objects(request: pytest.FixtureRequest, own: Path) -> tuple[dict[str, Any], ...]:
    return rendered(own if request.param == WHAT[2] else DEPLOY / request.param)


def pod_specs(objects: tuple[dict[str, Any], ...]) -> dict[str, dict[str, Any]]:
    specs = {}
    for obj in objects:
        spec = obj.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" in spec:
            specs[obj["metadata"]["name"]] = spec["template"]["spec"]
    return specs


def test_every_object_is_valid(objects: tuple[dict[str, Any], ...]) -> None:
    assert {"Namespace", "ServiceAccount", "ClusterRole", "Role", "ConfigMap", "CronJob"} <= {
        obj["kind"] for obj in objects
    }
    for obj in objects:
        kubernetes_validate.validate(obj, "1.31", strict=True)


def test_the_schema_refuses_what_is_wrong() -> None:
    cron = json.loads(json.dumps(one(rendered(DEPLOY / "base"), "CronJob")))
    cron["spec"]["concurencyPolicy"] = "Forbid"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(cron, "1.31", strict=True)


def test_pods_are_restricted(objects: tuple[dict[str, Any], ...]) -> None:
    specs = pod_specs(objects)
    assert specs
    for spec in specs.values():
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"cpu", "memory"} == set(container["resources"]["limits"])


def test_a_token_only_where_the_cluster_is_read(objects: tuple[dict[str, Any], ...]) -> None:
    assert one(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    tokens = {name: s["automountServiceAccountToken"] for name, s in pod_specs(objects).items()}
    assert tokens.pop("hopcheck-merge", False) is False
    assert all(tokens.values())


def test_runs_do_not_pile_up(objects: tuple[dict[str, Any], ...]) -> None:
    for obj in objects:
        if obj["kind"] != "CronJob":
            continue
        spec = obj["spec"]
        assert spec["concurrencyPolicy"] == "Forbid"
        assert spec["startingDeadlineSeconds"]
        assert spec["successfulJobsHistoryLimit"] <= 3
        assert spec["failedJobsHistoryLimit"] <= 3
        # Over before the next one of the same name is due, five minutes later.
        assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 300


def test_the_rights_only_read() -> None:
    base = rendered(DEPLOY / "base")
    rules = [*one(base, "ClusterRole")["rules"], *one(base, "Role")["rules"]]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list"}
    named = {resource for rule in rules for resource in rule["resources"]}
    assert "secrets" not in named
    assert not any("*" in name for name in named)


def test_shards_are_an_indexed_job_and_one_merges() -> None:
    sharded = rendered(DEPLOY / "overlays/sharded")
    job = one(sharded, "CronJob")["spec"]["jobTemplate"]["spec"]
    assert (job["completionMode"], job["completions"], job["parallelism"]) == ("Indexed", 4, 4)
    # It would end all shards at the first one's failure.
    assert "backoffLimit" not in job
    (container,) = job["template"]["spec"]["containers"]
    assert "--shard=$(JOB_COMPLETION_INDEX)/$(HOPCHECK_SHARDS)" in container["args"]
    assert {"name": "HOPCHECK_SHARDS", "value": str(job["completions"])} in container["env"]
    merge = pod_specs(sharded)["hopcheck-merge"]["containers"][0]
    assert merge["args"][0] == "merge"
    assert {"name": "HOPCHECK_SHARDS", "value": str(job["completions"])} in merge["env"]
    schedules = {o["spec"]["schedule"] for o in sharded if o["kind"] == "CronJob"}
    assert len(schedules) == 1


def test_an_overlay_of_ones_own(own: Path) -> None:
    made = rendered(own)
    assert one(made, "Role")["metadata"]["namespace"] == "traefik"
    assert "eks.amazonaws.com/role-arn" in one(made, "ServiceAccount")["metadata"]["annotations"]
    images = {c["image"] for spec in pod_specs(made).values() for c in spec["containers"]}
    assert images == {"registry.example.com/hopcheck:9.9.9"}
    (config,) = [o for o in made if o["kind"] == "ConfigMap"]
    assert tomllib.loads(config["data"]["hopcheck.toml"]) == {"hosts": ["shop.example.com"]}


def test_the_iam_policy_only_describes_and_publishes() -> None:
    policy = json.loads((DEPLOY / "components/irsa/policy.json").read_text())
    for statement in policy["Statement"]:
        actions = statement["Action"]
        actions = [actions] if isinstance(actions, str) else actions
        if statement["Resource"] == "*":
            assert all(re.match(r"(elasticloadbalancing|ec2):Describe", a) for a in actions)
        else:
            assert all(a.startswith("s3:") for a in actions)
            assert statement["Resource"].startswith("arn:aws:s3:::")


def test_the_image_runs_as_nobody() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    last = text.rpartition("FROM ")[2]
    assert re.search(r"^USER 65532:65532$", last, re.MULTILINE)
    assert 'ENTRYPOINT ["hopcheck"]' in last
