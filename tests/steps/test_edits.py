"""Recorded evidence of single edits that a rule once got wrong, and what is found in it now."""

import pytest

from hopcheck.model import Verdict
from tests.recorded import SNAPSHOTS
from tests.recorded import report as report_of

APP_SERVICE = "Service default/my-app-service"
APP = "Deployment default/my-app"
TRAEFIK_SERVICE = "Service api-gateway-system/traefik"
TRAEFIK = "Deployment api-gateway-system/traefik"
ROUTE = "IngressRoute default/my-app-route"
# Name -> (verdict, root cause, its object, what was edited where that is another object)
EXPECTED = {
    # Both ports of Traefik's Service have each other's targetPort.
    "service-target-ports-swapped": ("broken", "SVC005", TRAEFIK_SERVICE, TRAEFIK_SERVICE),
    # ... or nodePort: the listener reaches the wrong entryPoint, and the Service is the other end.
    "service-node-ports-swapped": ("broken", "TGT004", "Listener myapp-nlb:443", TRAEFIK_SERVICE),
    "service-port-by-udp": ("degraded", "SVC005", TRAEFIK_SERVICE, TRAEFIK_SERVICE),
    "one-target-on-another-node-port": (
        "degraded", "TGT014", "TargetGroup myapp-websecure", "Target i-0a1b2c3d4e5f60003:30000"
    ),
    # 6443 is an entryPoint's port in Traefik's pods, and no node's.
    "targets-on-a-container-port": (
        "degraded", "TGT014", "TargetGroup myapp-websecure", "TargetGroup myapp-websecure"
    ),
    # No rule knows why; Traefik's own pods, asked directly, do the same.
    "traefik-breaks-every-connection": ("degraded", "REQ008", "Host myapp.example.com", TRAEFIK),
    "entry-point-middleware-missing": ("degraded", "ING013", TRAEFIK, TRAEFIK),
    "middleware-of-no-type": ("broken", "ING014", "Middleware default/compress", ROUTE),
    "middleware-deleted": ("broken", "ING013", ROUTE, "Middleware default/compress"),
    "pods-not-http": ("broken", "END008", APP_SERVICE, APP),
    # Every request of this run was answered well: the other pod's turn would have come next.
    "one-pod-answers-500": (
        "degraded", "END013", APP_SERVICE, "Pod default/my-app-6f7c9d5b84-5mnlt"
    ),
    "one-pod-not-http": (
        "degraded", "END013", "Pod default/my-app-6f7c9d5b84-5mnlt",
        "Pod default/my-app-6f7c9d5b84-5mnlt",
    ),
}  # fmt: skip


def test_every_snapshot_is_expected() -> None:
    assert {
        path.name.removesuffix(".json.gz") for path in (SNAPSHOTS / "edits").glob("*.gz")
    } == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_edited_object_is_named_and_nobody_else_accused(name: str) -> None:
    verdict, code, thing, edited = EXPECTED[name]
    report = report_of(f"edits/{name}")
    (cause,) = report.root_causes
    assert (cause.code, str(cause.object)) == (code, thing)
    assert edited in [str(cause.object), *map(str, cause.related)]
    assert report.verdict is Verdict(verdict)


@pytest.mark.parametrize("name", EXPECTED)
def test_every_other_error_follows_from_it(name: str) -> None:
    report = report_of(f"edits/{name}")
    (root,) = report.root_causes
    for step in report.steps:
        for finding in step.findings:
            assert finding.severity != "error" or finding.id == root.id or finding.caused_by


def test_a_share_of_the_endpoints_is_told_as_such() -> None:
    report = report_of("edits/one-pod-answers-500")
    assert report.root_causes[0].share == 0.5
    assert "50 %" in report.headline
