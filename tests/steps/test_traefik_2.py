"""Traefik v2.11, of which there is no binary here: its log as its source writes it (v2.11.53).

logrus puts the error into `msg` (pkg/log, Errorf), fields after it in the order of their names;
what fails before the log is set up goes through Go's own log (cmd/traefik/traefik.go, main).
"""

import json

import msgspec
import pytest

from hopcheck.behaviour.traefik.logs import (
    after_last_reload,
    forbidden_resources,
    parse_log,
)
from hopcheck.behaviour.traefik.subjects import owners, subject
from hopcheck.engine.replay import replay
from hopcheck.model import LogLine, ObjectRef
from tests.steps.edits import Edit
from tests.steps.scenes import SCENES
from tests.steps.test_gallery import found

AT = 'time="2026-11-23T01:26:53Z"'
INGRESS = "ingress=my-app-ingress namespace=default providerName=kubernetes"
PORT = 'serviceName=my-app-service servicePort="&ServiceBackendPort{Name:,Number:80,}"'
# pkg/provider/kubernetes/ingress/kubernetes.go, and crd/kubernetes_http.go (which calls its
# IngressRoutes "ingress", too); pkg/server/router/router.go; pkg/config/runtime/runtime_http.go.
ABOUT_THE_INGRESS = [
    f'{AT} level=error msg="Cannot create service: service not found" {INGRESS} {PORT}',
    f'{AT} level=error msg="Cannot create service: service port not found" {INGRESS} {PORT}',
    f'{AT} level=error msg="Cannot create service: externalName services not allowed: '
    f'default/my-app-service" {INGRESS} {PORT}',
    f'{AT} level=error msg="Cannot create service: endpoints not found" {INGRESS} {PORT}',
    f'{AT} level=error msg="Skipping service: no endpoints found" {INGRESS} {PORT}',
    f'{AT} level=error msg="Error configuring TLS: secret default/myapp-tls does not exist" '
    f"{INGRESS}",
    f'{AT} level=error msg="Failed to parse annotations: field not found, node: x" {INGRESS}',
    f'{AT} level=error msg="Resource backends are not supported" {INGRESS}',
    f'{AT} level=error msg="Missing service definition" {INGRESS}',
    f'{AT} level=error msg="The default backend already exists." {INGRESS}',
    f'{AT} level=error msg="middleware \\"default-auth@kubernetescrd\\" does not exist" '
    "entryPointName=websecure routerName=default-my-app-ingress-myapp-example-com@kubernetes",
    f'{AT} level=error msg="entryPoint \\"websecur\\" doesn\'t exist" entryPointName=websecur '
    "routerName=default-my-app-ingress-myapp-example-com@kubernetes",
    f'{AT} level=error msg="no valid entryPoint for this router" '
    "routerName=default-my-app-ingress-myapp-example-com@kubernetes",
]
NOT_ABOUT_IT = [
    f'{AT} level=error msg="Skipping service: no endpoints found" ingress=other '
    f"namespace=default providerName=kubernetes {PORT}",
    f'{AT} level=error msg="Cannot create service: service not found" ingress=my-app-ingress '
    "namespace=staging providerName=kubernetes serviceName=x",
    f'{AT} level=info msg="Configuration loaded from flags."',
]


INGRESS_REF = ObjectRef("Ingress", "my-app-ingress", "default")
OTHERS = [ObjectRef("Ingress", "my-app", "default"), ObjectRef("Ingress", "other", "default"),
          ObjectRef("Service", "my-app-service", "default"),
          ObjectRef("Ingress", "my-app-ingress", "staging")]  # fmt: skip


def about(line: LogLine) -> tuple[ObjectRef, ...]:
    found = subject(line)
    return owners(found, [INGRESS_REF, *OTHERS]) if found is not None else ()


@pytest.mark.parametrize("line", ABOUT_THE_INGRESS)
def test_errors_about_an_ingress(line: str) -> None:
    (parsed,) = parse_log(line)
    assert (parsed.kind, parsed.level) == ("traefik", "error")
    assert about(parsed) == (INGRESS_REF,)


def test_errors_about_others() -> None:
    assert INGRESS_REF not in {
        ref for line in parse_log("\n".join(NOT_ABOUT_IT)) for ref in about(line)
    }


def test_the_last_reload_is_found() -> None:
    received = f'{AT} level=debug msg="Configuration received: {{}}" providerName=kubernetes'
    lines = parse_log("\n".join([ABOUT_THE_INGRESS[10], received, ABOUT_THE_INGRESS[12], received]))
    assert after_last_reload(lines) == (lines[3],)


@pytest.mark.parametrize("resource", ["endpoints", "ingresses.networking.k8s.io", "secrets"])
def test_a_forbidden_list(resource: str) -> None:
    # client-go 0.32.3 (go.mod); the resource that v2 needs and v3.1 does not: endpoints
    line = (
        'E1123 01:26:53.000000       1 reflector.go:166] "Unhandled Error" '
        'err="k8s.io/client-go/informers/factory.go:160: Failed to watch *v1.Endpoints: failed to '
        f"list *v1.Endpoints: {resource} is forbidden: User "
        '\\"system:serviceaccount:api-gateway-system:traefik\\" cannot list resource" '
        'logger="UnhandledError"'
    )
    assert forbidden_resources(parse_log(line)) == {resource.partition(".")[0]}


def with_log(edit: Edit, line: str, log: str = "log") -> Edit:
    edit.version("2.11.53")
    for replica in edit.replicas:
        replica[log] = {"value": msgspec.to_builtins(parse_log(line))}
    return edit


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "2026/11/23 01:26:53 command traefik error: failed to decode configuration from flags: "
            "field not found, node: kubernetesingres",
            "command traefik error: failed to decode configuration from flags: field not found, "
            "node: kubernetesingres",
        ),
        (
            "2026/11/23 01:26:53 traefik.go:80: command traefik error: error while building "
            "entryPoint web: error preparing server: error opening listener: listen tcp :80: "
            "bind: permission denied",
            "command traefik error: error while building entryPoint web: error preparing server: "
            "error opening listener: listen tcp :80: bind: permission denied",
        ),
    ],
)
def test_it_exits_at_start(words: str, said: str) -> None:
    edit = with_log(with_log(Edit("tpod-static-bad"), words, "previous_log"), "")
    (root,) = replay(edit.snapshot()).root_causes
    assert (root.code, root.actual) == ("SVC008", said)


def test_a_missing_secret_by_the_log() -> None:
    edit = with_log(Edit("tls-secret-missing"), ABOUT_THE_INGRESS[5])
    for replica in edit.replicas:  # recorded later than this line was written
        replica["metrics"] = {"value": {}}
    (root,) = replay(edit.snapshot()).root_causes
    assert root.code == "ING016"
    assert str(root.object) == "Ingress default/my-app-ingress"


def test_what_the_log_says_of_a_secret_ends_with_the_next_reload() -> None:
    edit = with_log(Edit("tls-secret-missing"), ABOUT_THE_INGRESS[5])
    (root,) = replay(edit.snapshot()).root_causes
    assert root.code == "REQ007"


def test_a_rule_of_v2_is_right_in_v2() -> None:
    edit = SCENES["rule-of-v2"][2]()
    edit.version("2.11.53")
    assert "ING021" not in found(replay(edit.snapshot()))


def test_a_wildcard_outranks_the_exact_host() -> None:
    edit = SCENES["ingress-wildcard-steals"][2]()
    edit.version("2.11.53")
    assert "*ING008" in found(replay(edit.snapshot()))
    edit.version("3.7.15")
    assert "ING008" not in found(replay(edit.snapshot()))


@pytest.mark.parametrize(("ready", "codes"), [(None, ""), (False, "END012")])
def test_endpoints_are_those_that_are_ready(ready: bool | None, codes: str) -> None:
    """Endpoints' subsets.addresses hold ready endpoints, nil counting as ready."""
    edit = Edit()
    edit.version("2.11.53")
    for endpoint in edit.endpoints:
        endpoint["conditions"] = {"ready": ready, "serving": True}
    edit.answer(503, "no available server\n")
    assert ("END012" in found(replay(edit.snapshot()))) == bool(codes)


@pytest.mark.parametrize(
    ("argument", "message", "error"),
    [  # seen on 3.7.15, 3.7.15 and 3.0.4, started with a setting of v2
        (
            "--pilot.token=x",
            "Pilot configuration has been removed in v3, please remove all Pilot-related install "
            "configuration for Traefik to start. For more information please read the migration "
            "guide: https://doc.traefik.io/traefik/v3.7/migrate/v2-to-v3-details/#pilot",
            "incompatible deprecated install configuration option found",
        ),
        (
            "--experimental.http3=true",
            "HTTP3 is not an experimental feature in v3 and the associated enablement has been "
            "removed. Please remove its usage from the install configuration for Traefik to "
            "start. For more information please read the migration guide: x",
            "incompatible deprecated install configuration option found",
        ),
        (
            "--providers.marathon=true",
            "Marathon provider has been removed in v3, please remove all Marathon-related static "
            "configuration for Traefik to start.For more information please read the guide: x",
            "incompatible deprecated static option found",
        ),
    ],
)
def test_a_setting_of_v2_in_v3(argument: str, message: str, error: str) -> None:
    edit = Edit("tpod-static-bad")
    edit.arguments(argument, without="kubernetesingres=")
    lines = [
        {"level": "error", "loader": "args", "message": message},
        {"level": "error", "error": f"command traefik error: {error}", "message": "Command error"},
    ]
    log = msgspec.to_builtins(parse_log("\n".join(json.dumps(line) for line in lines)))
    for replica in edit.replicas:
        replica["previous_log"], replica["log"] = {"value": log}, {"value": []}
    (root,) = replay(edit.snapshot()).root_causes
    assert root.code == "SVC008"
    assert root.actual == message.partition("For more")[0].strip().rstrip(".")
    assert argument in root.fix
