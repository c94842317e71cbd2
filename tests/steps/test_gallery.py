"""Recorded evidence of every fault of the gallery, and exactly what is found in it."""

import re

import pytest

from hopcheck.engine.replay import replay
from hopcheck.lab.faults import FAULTS
from hopcheck.lab.faults.gallery import VERDICTS
from hopcheck.model import Report, Status, Verdict
from tests.recorded import SNAPSHOTS
from tests.recorded import report as report_of
from tests.recorded import snapshot as recorded

# Name -> (verdict, root cause as "CODE Kind namespace/name", all findings). A code ends in "w" for
# a warning and "i" for information; "*" marks the root cause.
INGRESS = "Ingress default/my-app-ingress"
SERVICE = "Service default/my-app-service"
TRAEFIK = "Deployment api-gateway-system/traefik"
ROUTE = "IngressRoute default/my-app"
APP = "Application default/my-app-service"
DEPLOYMENT = "Deployment default/my-app"
HOST = "DNSRecord myapp.example.com"
TRAEFIK_SERVICE = "Service api-gateway-system/traefik"
LISTENER = "Listener myapp-nlb:443"
BALANCER = "LoadBalancer myapp-nlb"
GROUP = "TargetGroup myapp-websecure"
BALANCER_SG = "SecurityGroup sg-0a1b2c3d4e5f60002"
NODE_SG = "SecurityGroup sg-0a1b2c3d4e5f60001"
CERTIFICATE = "Certificate default/myapp-tls"
CHALLENGE = "Challenge default/myapp-tls-1-2316417458-1479310894"
UNISSUED = "ING016 *ING050 LOG010 REQ007"
EXPECTED = {
    "app-5xx": ("broken", APP, "*REQ001"),
    "app-hang": ("broken", APP, "*REQ003"),
    "app-loopback-only": ("broken", APP, "*REQ015 REQ009"),
    "app-redirect-loop": ("broken", APP, "*REQ011"),
    "app-wrong-port": ("broken", APP, "*REQ015 REQ009"),
    "dns-dangling-cname": ("broken", HOST, "*DNS002"),
    "dns-nodata": ("broken", HOST, "*DNS003"),
    "dns-nxdomain": ("broken", HOST, "*DNS001"),
    "dns-servfail": ("broken", HOST, "*DNS004"),
    "dns-stale-ip": ("broken", HOST, "*DNS005 REQ004"),
    "ep-crashloop": ("broken", DEPLOYMENT, "*END005 LOG010 REQ009"),
    "ep-none-ready": ("broken", DEPLOYMENT, "*END004 LOG010 REQ009"),
    "healthy": ("healthy", None, ""),
    "ing-class-missing": ("broken", INGRESS, "*ING002 REQ007 REQ009"),
    "ing-class-other": ("broken", INGRESS, "*ING002 REQ007 REQ009"),
    "ing-ep-bad": ("broken", INGRESS, "*ING010 REQ009"),
    "ing-mw-missing": ("broken", INGRESS, "*ING013 LOG010 REQ009"),
    "ing-no-host": ("broken", INGRESS, "*ING001 REQ009"),
    "ing-path-exact": ("broken", INGRESS, "*ING007 REQ009"),
    "ing-port-name": ("broken", INGRESS, "*ING005 LOG010 REQ009"),
    "ing-port-number": ("broken", INGRESS, "*ING005 LOG010 REQ009"),
    "ing-svc-missing": ("broken", INGRESS, "*ING004 LOG010 REQ009"),
    "nlb-no-443": ("degraded", "Listener myapp-nlb:443", "*TGT002 REQ004 REQ012"),
    "nlb-swapped": ("broken", "Listener myapp-nlb:443", "*TGT004 TGT020 ING011 REQ009"),
    "svc-selector": ("broken", SERVICE, "*END001 LOG010 REQ009"),
    "svc-targetport-name": ("broken", SERVICE, "*END002 LOG010 REQ009"),
    "svc-targetport-num": ("broken", SERVICE, "*END003 REQ009"),
    "tg-empty": ("degraded", "TargetGroup myapp-websecure", "*TGT010 TGT020 REQ004 REQ012"),
    "tg-health-port": ("degraded", "TargetGroup myapp-websecure", "*TGT015 TGT017"),
    "tg-nodeport-drift": (
        "degraded", "TargetGroup myapp-websecure", "*TGT014 TGT017 TGT020 REQ004 REQ012"
    ),
    "tg-ppv2-only": (
        "degraded", "TargetGroup myapp-websecure", "*TGT018 TGT020 REQ008 REQ012"
    ),
    "tls-secret-missing": ("broken", INGRESS, "*ING016 LOG010 REQ007"),
    # --- cert-manager: what it says of its own objects
    "cm-challenge-catch-all": ("broken", CHALLENGE, UNISSUED),
    "cm-challenge-class": ("broken", CHALLENGE, UNISSUED),
    "cm-challenge-dns": ("broken", CHALLENGE, UNISSUED),
    "cm-challenge-redirected": ("broken", CHALLENGE, "ING016 *ING050 ING015w LOG010 REQ007"),
    "cm-challenge-refused": ("broken", CHALLENGE, UNISSUED),
    "cm-controller-gone": ("broken", CERTIFICATE, UNISSUED),
    "cm-expired": ("broken", CHALLENGE, "*ING050 REQ005"),
    "cm-issuer-kind": ("broken", CERTIFICATE, UNISSUED),
    "cm-issuer-misspelt": ("broken", CERTIFICATE, UNISSUED),
    "cm-issuer-not-ready": ("broken", "ClusterIssuer letsencrypt", UNISSUED),
    "cm-names": ("broken", CERTIFICATE, "*ING050 REQ007"),
    "cm-no-certificate": ("broken", INGRESS, UNISSUED),
    "cm-order-limit": ("broken", "Order default/myapp-tls-1-2316417458", UNISSUED),
    "cm-renewal-fails": ("healthy", None, "ING051w"),
    "cm-request-denied": ("broken", "CertificateRequest default/myapp-tls-1", UNISSUED),
    "cm-request-pending": ("broken", "CertificateRequest default/myapp-tls-1", UNISSUED),
    "cm-two-certificates": ("broken", CERTIFICATE, UNISSUED),
    "tpod-provider-off": ("broken", TRAEFIK, "*SVC012 REQ007 REQ009"),
    "tpod-rbac": ("broken", TRAEFIK, "*SVC011 LOG002 REQ007 REQ009"),
    "tpod-replica-skew": (
        "degraded", "Pod api-gateway-system/traefik-7d9f8b6c5d-w8zjp", "*LOG001"
    ),
    "tpod-static-bad": ("broken", TRAEFIK, "TGT017 *SVC008 SVC007 REQ004"),
    "tsvc-clusterip": ("broken", TRAEFIK_SERVICE, "TGT017 *SVC003 REQ004"),
    "tsvc-missing": ("broken", TRAEFIK_SERVICE, "TGT017 *SVC001 REQ004"),
    "tsvc-selector": ("broken", TRAEFIK_SERVICE, "TGT017 *SVC002 REQ004"),
    "tsvc-targetport-name": ("degraded", TRAEFIK_SERVICE, "TGT017 *SVC004 REQ004 REQ012"),
    "tsvc-targetport-num": ("degraded", TRAEFIK_SERVICE, "TGT017 *SVC005 REQ004 REQ012"),
    # --- who makes the load balancer
    "lb-subnets-untagged": ("broken", TRAEFIK_SERVICE, "DNS001 *SVC018"),
    "lb-subnets-unsuitable": ("broken", TRAEFIK_SERVICE, "DNS001 *SVC018"),
    "lb-no-space": ("broken", TRAEFIK_SERVICE, "DNS001 *SVC018"),
    "lb-access-denied": ("broken", TRAEFIK_SERVICE, "DNS001 *SVC018"),
    "lb-quota": ("broken", TRAEFIK_SERVICE, "DNS001 *SVC018"),
    "lb-two-tagged-groups": ("broken", TRAEFIK_SERVICE, "DNS001 *SVC018"),
    "lb-source-range": ("broken", TRAEFIK_SERVICE, "DNS001 *SVC018"),
    "lb-words-unknown": ("broken", TRAEFIK_SERVICE, "DNS001 *SVC018"),
    "lb-binding-security-groups": (
        "degraded", "TargetGroupBinding api-gateway-system/myapp-websecure",
        "TGT019 TGT020 *SVC018 REQ004 REQ008 REQ012",
    ),
    "lb-alb-ingress": ("broken", "Ingress api-gateway-system/edge", "DNS001 *SVC018"),
    "lb-class-unknown": ("broken", TRAEFIK_SERVICE, "DNS001 *SVC019"),
    "lb-no-controller": ("broken", TRAEFIK_SERVICE, "DNS001 *SVC019"),
    "lb-scheme-misspelt": ("broken", TRAEFIK_SERVICE, "DNS008 TGT020 *SVC020 REQ004"),
    # --- load balancer, targets, DNS and the Service of Traefik: the rest of these steps
    "alb-cert": ("broken", LISTENER, "*TGT008 REQ005"),
    "alb-http-to-websecure": ("broken", LISTENER, "*TGT005 TGT020 REQ009"),
    "alb-https-to-web": ("broken", LISTENER, "*TGT005 TGT020 ING011 REQ009"),
    "alb-no-rule": ("broken", LISTENER, "*TGT009 REQ010"),
    "alb-rule-answers": ("broken", LISTENER, "*TGT009 TGT020 REQ010"),
    "alb-rule-elsewhere": ("broken", LISTENER, "*TGT009 TGT020 REQ010"),
    "dns-alias-deleted-lb": ("broken", HOST, "*DNS003"),
    "dns-internal-from-outside": ("broken", HOST, "*DNS008 TGT020 REQ004"),
    "dns-lame": ("broken", HOST, "*DNS004"),
    "dns-resolvers-disagree": ("degraded", HOST, "*DNS007 REQ004"),
    "dns-split-horizon": ("degraded", HOST, "*DNS007 REQ004"),
    "dns-stale-one": ("degraded", HOST, "*DNS005 REQ004"),
    "dns-wrong-lb": ("broken", HOST, "*DNS006 REQ008"),
    "lb-address-dark": ("degraded", BALANCER, "*TGT020 REQ004"),
    "lb-dark": ("broken", BALANCER, "*TGT020 REQ004"),
    "nlb-acm-cert": ("broken", LISTENER, "*TGT008 REQ005"),
    "nlb-listener-protocol": ("degraded", LISTENER, "*TGT003 REQ004 REQ012"),
    "nlb-sg-port": ("degraded", BALANCER_SG, "*TGT007 TGT020 REQ004 REQ012"),
    "nlb-sg": ("broken", BALANCER_SG, "*TGT007 TGT020 REQ004"),
    "nlb-state-impaired": ("healthy", None, "TGT001w"),
    "nlb-state": ("broken", BALANCER, "DNS003 *TGT001"),
    "nlb-tls-redirect-loop": ("broken", LISTENER, "*TGT006 REQ011"),
    "nlb-tls-to-websecure": ("degraded", LISTENER, "*TGT005 TGT020 REQ009 REQ012"),
    "node-drops": ("degraded", TRAEFIK_SERVICE, "TGT017w *SVC016"),
    "nodes-drop": ("broken", TRAEFIK_SERVICE, "TGT017 *SVC016 REQ004"),
    "tg-all-draining": ("degraded", GROUP, "*TGT010 TGT020 REQ008 REQ012"),
    "tg-draining": ("healthy", None, "TGT021i"),
    "tg-health-path": ("degraded", GROUP, "*TGT016 TGT017"),
    "tg-health-unavailable": ("healthy", None, ""),
    "tg-initial": ("healthy", None, "TGT021i"),
    "tg-invalid-state": ("broken", GROUP, "*TGT012 SVC016 REQ008"),
    "tg-ip-stale-all": ("degraded", GROUP, "*TGT019 TGT020 REQ004 REQ008 REQ012"),
    "tg-ip-stale-pods": ("healthy", None, "TGT019w TGT017w"),
    "tg-ip-unusable": ("degraded", GROUP, "*TGT012 TGT020 REQ008 REQ012"),
    "tg-nodeport-drift-one": ("degraded", GROUP, "*TGT014 TGT017w"),
    "tg-not-in-use": ("degraded", GROUP, "*TGT011 TGT020 REQ008 REQ012"),
    "tg-not-registered": ("healthy", None, "TGT013i TGT024i TGT022i"),
    "tg-sg-health-ok-client-blocked": ("broken", NODE_SG, "*TGT007 TGT020 REQ004"),
    "tg-sg-nodeport": ("broken", NODE_SG, "TGT017 *TGT007 TGT020 REQ004"),
    "tg-zone-gap-dns": ("healthy", None, "TGT024i"),
    "tg-zone-gap": ("degraded", GROUP, "*TGT024 TGT020 REQ008"),
    "tpod-bind": ("broken", TRAEFIK, "TGT017 *SVC008 SVC007 REQ004"),
    "tpod-crash": ("broken", TRAEFIK, "TGT017 *SVC007 REQ004"),
    "tpod-image": ("broken", TRAEFIK, "TGT017 *SVC007 REQ004"),
    "tpod-notready": ("broken", TRAEFIK, "TGT017 *SVC010 SVC007 REQ004"),
    "tpod-pending": ("broken", TRAEFIK, "TGT017 *SVC007 REQ004"),
    "tpod-rbac-ingressclasses": ("broken", TRAEFIK, "*SVC011 LOG002 REQ007 REQ009"),
    "tpod-rbac-secrets": ("broken", TRAEFIK, "*SVC011 LOG002 REQ007 REQ009"),
    "tsvc-etp-local-no-pod": ("broken", TRAEFIK_SERVICE, "TGT017 *SVC006 REQ004 REQ008"),
    "tsvc-no-nodeport": ("broken", TRAEFIK_SERVICE, "TGT017 *SVC003 REQ004"),
    "tsvc-no-port": ("degraded", TRAEFIK_SERVICE, "TGT014 TGT017 *SVC014 REQ004 REQ012"),
    "tsvc-targetport-swapped": ("degraded", TRAEFIK_SERVICE, "*SVC005 ING011 REQ009 REQ012"),
    "app-5xx-gateway": ("broken", APP, "*REQ001"),
    "app-5xx-one": ("degraded", SERVICE, "*END013 REQ001"),
    "app-go-404": ("broken", APP, "*REQ002"),
    "app-resets": ("broken", APP, "*REQ003 REQ009"),
    "app-vhost": ("broken", APP, "*REQ002"),
    "ep-imagepull": ("broken", DEPLOYMENT, "*END005 LOG010 REQ009"),
    "ep-one-hangs": ("degraded", SERVICE, "*END013 REQ003"),
    "ep-oom": ("broken", DEPLOYMENT, "*END005 LOG010 REQ009"),
    "ep-pending": ("broken", DEPLOYMENT, "*END005 LOG010 REQ009"),
    "ep-publishNotReady": ("broken", DEPLOYMENT, "*END004 LOG010 REQ009"),
    "ep-some-refuse": ("degraded", SERVICE, "*END013 REQ009"),
    "ing-annotation-bad": ("broken", INGRESS, "*ING006 REQ007 REQ009"),
    "ing-annotation-other": ("broken", INGRESS, "*ING002 REQ007 REQ009"),
    "ing-class-flag": ("broken", INGRESS, "*ING002 REQ007 REQ009"),
    "ing-clusterscope-off": ("broken", INGRESS, "*ING002 REQ007 REQ009"),
    "ing-conflict": ("degraded", INGRESS, "*ING009"),
    "ing-cross-ns-backend": ("broken", INGRESS, "*ING004 LOG010 REQ009"),
    "ing-ep-other": ("degraded", INGRESS, "*ING011 REQ009 REQ012"),
    "ing-ep-partly": ("healthy", None, "ING010w"),
    "ing-forwardauth-down": ("broken", "Middleware default/auth", "*ING014 REQ009"),
    "ing-https-not-enabled": ("degraded", INGRESS, "*ING011 REQ009 REQ012"),
    "ing-mw-broken": ("broken", "Middleware default/login", "*ING014 LOG010 REQ009"),
    "ing-mw-chain": ("broken", "Middleware default/secured", "*ING014 LOG010 REQ009"),
    "ing-forwardauth-errs": ("broken", "Middleware default/auth", "*ING014 REQ014"),
    "ing-mw-alters": ("broken", "Middleware default/host", "*ING014 REQ014"),
    "ing-mw-file": ("broken", INGRESS, "*ING013 LOG010 REQ009"),
    "ing-mw-invalid": ("broken", "Middleware default/moved", "*ING014 LOG010 REQ009"),
    "ing-mw-provider": ("broken", INGRESS, "*ING013 LOG010 REQ009"),
    "ing-mw-redirect-loop": ("broken", "Middleware default/to-https", "*ING014 REQ011"),
    "ing-mw-plugin": ("broken", "Middleware default/geoblock", "*ING014 LOG010 REQ009"),
    "ing-namespace-filter": ("broken", INGRESS, "*ING003 REQ007 REQ009"),
    "ing-no-http": ("broken", INGRESS, "*ING006 REQ009"),
    "ing-only-tls": ("broken", INGRESS, "*ING011 REQ009"),
    "ing-path-overmatch": ("broken", INGRESS, "*ING008 REQ002"),
    "ing-redirect-port": ("broken", TRAEFIK, "*ING015 REQ011"),
    "ing-resource-backend": ("broken", INGRESS, "*ING006 REQ009"),
    "ir-cross-ns-service": ("broken", ROUTE, "*ING020 REQ009"),
    "ir-cross-provider": ("broken", ROUTE, "*ING020 REQ009"),
    "ir-ep-other": ("degraded", ROUTE, "*ING011 REQ007 REQ009 REQ012"),
    "ir-externalname": ("broken", SERVICE, "*END007 LOG010 REQ009"),
    "ir-no-tls": ("broken", ROUTE, "*ING011 REQ007 REQ009"),
    "ir-options-missing": ("broken", ROUTE, "*ING020 LOG010 REQ008"),
    "ir-transport-missing": ("broken", ROUTE, "*ING020 LOG010 REQ009"),
    "ir-v2-syntax": ("broken", ROUTE, "*ING021 REQ009"),
    "ir-weighted-missing": ("broken", ROUTE, "*ING004 LOG010 REQ009"),
    "np-blocks-traefik": ("broken", "NetworkPolicy default/default-deny", "*END010 REQ003"),
    "svc-backend-cert": ("broken", SERVICE, "*END009 REQ009"),
    "svc-not-http": ("broken", SERVICE, "*END008 REQ009"),
    "svc-scheme-missing-400": ("broken", SERVICE, "*END008 REQ014"),
    "svc-scheme-missing": ("broken", SERVICE, "*END008 REQ009"),
    "svc-scheme-wrong": ("broken", SERVICE, "*END008 REQ009"),
    "svc-selector-503": ("broken", SERVICE, "*END001 REQ009"),
    "svc-transport-missing": ("broken", SERVICE, "*ING020 LOG010 REQ009"),
    "tls-expired": ("broken", "Certificate myapp.example.com", "*REQ005"),
    "tls-resolver-missing": ("broken", INGRESS, "*ING019 LOG010 REQ007"),
    "tls-san-default": ("broken", "Certificate myapp.example.com", "*REQ005"),
    "tls-san": ("broken", "Host myapp.example.com", "*REQ007"),
    "tls-secret-empty": ("broken", INGRESS, "*ING016 LOG010 REQ007"),
    "tls-secret-garbled": ("broken", "Secret default/myapp-tls", "*REQ007"),
    "tls-secret-keys": ("broken", INGRESS, "*ING016 LOG010 REQ007"),
    "alb-redirect-port": ("broken", LISTENER, "*TGT009 REQ011"),
    "app-redirect-port": ("broken", APP, "*REQ011"),
    "ir-condition": ("broken", ROUTE, "*ING007 REQ009"),
    "ir-method": ("broken", ROUTE, "*ING007 REQ009"),
    "tls-options-invalid": (
        "degraded", "TLSOption default/default", "*ING018 LOG010 REQ008 REQ012"
    ),
    "ir-mirror-missing": ("broken", ROUTE, "*ING004 LOG010 REQ009"),
    "ir-v2-template": ("broken", ROUTE, "*ING021 REQ009"),
    "svc-externalname-silent": ("broken", SERVICE, "*END014 REQ009"),
    "ir-catch-all": ("broken", "IngressRoute default/landing", "*ING008 END001 REQ009"),
    "ir-weighted-empty": ("degraded", "Service default/canary", "*END001 REQ009"),
    "nlb-redirect-no-443": ("broken", LISTENER, "*TGT002 REQ011"),
    "nlb-tls-app-loop": ("broken", LISTENER, "*TGT006 REQ011"),
    "np-closes-traefik": (
        "broken", "NetworkPolicy api-gateway-system/default-deny", "TGT017 *SVC016 REQ004"
    ),
    "np-egress": (
        "broken", "NetworkPolicy api-gateway-system/egress-dns-only", "*END010 REQ003"
    ),
    "svc-port-other": ("broken", SERVICE, "*END003 REQ009"),
    "svc-selector-wide": ("degraded", SERVICE, "*END013 REQ009"),
    "svc-slice-port-name": ("broken", SERVICE, "*END012 LOG010 REQ009"),
    "tpod-entrypoint-typo": ("broken", TRAEFIK, "TGT017 SVC005 *SVC008 SVC007 REQ004"),
    "tpod-scaled-down": ("broken", TRAEFIK, "TGT017 *SVC015 REQ004"),
    "tpod-token": ("broken", TRAEFIK, "*SVC011 LOG002 REQ007 REQ009"),
    "tls-client-certificate": ("broken", "TLSOption default/default", "*ING018 REQ008"),
    "tls-options-provider": ("broken", INGRESS, "*ING020 LOG010 REQ008"),
    "tls-store-secret": ("broken", "TLSStore default/default", "*ING016 REQ007"),
    "tls-versions": ("broken", "TLSOption default/default", "*ING018 REQ008"),
    "app-loopback-only-outside": ("broken", APP, "*REQ015 REQ009"),
    "app-other-port-outside": ("broken", APP, "*REQ015 REQ009"),
    "svc-targetport-num-outside": ("broken", SERVICE, "*END003 REQ009"),
    "tpod-entrypoint-loopback": ("degraded", TRAEFIK, "TGT017 *SVC005 REQ004 REQ012"),
    "tls-snistrict": ("broken", "TLSOption default/default", "*ING018 REQ008"),
}  # fmt: skip


def found(report: Report) -> str:
    return " ".join(
        ("*" if finding.root_cause else "")
        + finding.code
        + {"error": "", "warning": "w", "info": "i"}[finding.severity.value]
        for step in report.steps
        for finding in step.findings
    )


def test_every_snapshot_is_expected() -> None:
    assert {path.name.removesuffix(".json.gz") for path in SNAPSHOTS.glob("*.gz")} == set(EXPECTED)


def test_the_recordings_show_what_the_gallery_promises() -> None:
    for name in EXPECTED.keys() & FAULTS.keys():
        verdict, root, findings = EXPECTED[name]
        fault = FAULTS[name]
        codes = re.findall(r"\*([A-Z]+[0-9]+)", findings)
        assert codes == [one.code for one in fault.expect], name
        assert root == (str(fault.expect[0]).partition(" ")[2] if fault.expect else None), name
        assert verdict == VERDICTS[fault.exit_code], name
        assert all(one.code in findings for one in fault.warns), name


@pytest.mark.parametrize("name", EXPECTED)
def test_exactly_these_findings(name: str) -> None:
    verdict, root, findings = EXPECTED[name]
    report = report_of(name)
    assert found(report) == findings
    assert report.verdict is Verdict(verdict)
    assert [str(cause.object) for cause in report.root_causes] == ([root] if root else [])


@pytest.mark.parametrize("name", EXPECTED)
def test_consequences_lead_to_the_root_cause(name: str) -> None:
    report = report_of(name)
    findings = {f.id: f for step in report.steps for f in step.findings}
    roots = {f.id for f in report.root_causes}
    for finding in findings.values():
        if finding.severity == "error" and finding.id not in roots and finding.code != "TGT020":
            assert finding.caused_by, finding.id
            assert all(cause in findings for cause in finding.caused_by)


def test_a_replay_gives_the_same_report_each_time() -> None:
    snapshot = recorded("tg-nodeport-drift")
    assert replay(snapshot) == replay(snapshot)


def test_healthy_passes_all_seven_steps() -> None:
    report = report_of("healthy")
    assert [step.status for step in report.steps] == [Status.PASS] * 7
    assert report.coverage.seen == 7
