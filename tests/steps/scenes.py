"""A scenario for every code that the recorded gallery does not show: one edit each.

Each function edits healthy evidence; `SCENES` names what must be found in it. The pages of the
findings take their examples from here and from the gallery (`python -m tests.examples`).
"""

import copy
from collections.abc import Callable
from typing import Any

from tests.steps.edits import TRAEFIK_NS, Edit, collected

EVERYWHERE = ("client", "node", "traefik-pod", "pod")
SCENES: dict[str, tuple[str, str, Callable[[], Edit]]] = {}


def scene(verdict: str, findings: str) -> Callable[[Callable[[], Edit]], Callable[[], Edit]]:
    """Name a scenario; `findings` as in test_gallery, the scenario's name is the function's."""

    def note(function: Callable[[], Edit]) -> Callable[[], Edit]:
        SCENES[function.__name__.replace("_", "-")] = (verdict, findings, function)
        return function

    return note


# --- dns


@scene("broken", "*DNS006 REQ009")
def dns_wrong_lb() -> Edit:
    e = Edit()
    other = copy.deepcopy(e.lb)
    name = "staging-nlb-1c2d3e4f5a6b7c8d.elb.ap-northeast-2.amazonaws.com"
    other |= {"LoadBalancerName": "staging-nlb", "DNSName": name, "LoadBalancerArn": "arn:staging"}
    e.aws["load_balancers"]["value"].append(other)
    listener = copy.deepcopy(e.listener())
    listener |= {"LoadBalancerArn": "arn:staging", "ListenerArn": "arn:staging-443"}
    group = copy.deepcopy(e.group())
    group |= {"TargetGroupName": "staging-websecure", "TargetGroupArn": "arn:staging-tg"}
    e.aws["target_groups"]["value"].append(group)
    e.forward(listener, "staging-websecure")
    e.aws["listeners"]["arn:staging"] = collected([listener])
    healthy = {"TargetHealth": {"State": "healthy"}}
    e.aws["target_health"]["arn:staging-tg"] = collected(
        [{"Target": {"Id": "i-0fedcba9876543210", "Port": 31443}, **healthy}]
    )
    for answer in e.dns["answers"]:
        answer["value"]["chain"][0]["target"] = name
        if answer["value"]["addresses"]:
            answer["value"]["addresses"] = ["127.230.240.35", "127.230.240.36"]
    e.dns["names"][name] = collected(["127.230.240.35", "127.230.240.36"])
    e.answer(404, "404 page not found\n", hops=("client",), x_content_type_options="nosniff")
    e.no_other_scheme()
    e.only_pods()
    return e


def _two_resolvers(e: Edit) -> dict:
    second = copy.deepcopy(e.dns["answers"][0])
    second["value"]["resolver"] = "127.230.240.4:53"
    second["source"] = "A myapp.example.com @127.230.240.4:53"
    e.dns["answers"].insert(1, second)
    return second


@scene("healthy", "DNS007w")
def dns_resolvers_disagree() -> Edit:
    e = Edit()
    e.aws["load_balancers"] = collected([])
    second = _two_resolvers(e)
    for answer in e.dns["answers"]:
        answer["value"]["chain"] = []
    second["value"] |= {"addresses": ["203.0.113.9"], "ttl": 300}
    e.dns["names"] = {}
    return e


def _nothing_from_dns(e: Edit, rcode: str, chain: list[dict[str, Any]]) -> None:
    for answer in e.dns["answers"]:
        answer["value"] |= {"rcode": rcode, "addresses": [], "chain": chain}
    e.http["requests"] = []
    e.no_other_scheme()


@scene("broken", "*DNS003")
def dns_cname_loop() -> Edit:
    """Resolvers say SERVFAIL of an alias of itself, which is no fault of the zone's servers."""
    e = Edit()
    owners = ("myapp.example.com", "www.example.com")
    circle = [
        {"owner": a, "target": b, "ttl": 60} for a, b in zip(owners, owners[::-1], strict=True)
    ]
    _nothing_from_dns(e, "SERVFAIL", circle)
    return e


@scene("broken", "*DNS004")
def dns_refused() -> Edit:
    """The resolver does not serve this client: nothing is said of the zone."""
    e = Edit()
    _nothing_from_dns(e, "REFUSED", [])
    return e


@scene("unknown", "DNS003i")
def dns_nodata_family() -> Edit:
    """AAAA alone, and no IPv6 route here: nothing is accused."""
    e = Edit()
    six = ["2406:da12::35"]
    for answer in e.dns["answers"]:
        answer["value"]["addresses"] = six if answer["value"]["rrtype"] == "AAAA" else []
    name = e.lb["DNSName"].lower()
    e.dns["names"][name] = collected(["127.230.240.30", "127.230.240.31", *six])
    e.http["requests"] = e.http["requests"][:1]
    e.http["requests"][0]["value"] |= {"address": six[0], "member": six[0]}
    e.fail("local", "no IPv6 route")
    e.no_other_scheme()
    return e


@scene("broken", "*DNS008 REQ004")
def dns_internal_from_outside() -> Edit:
    e = Edit()
    e.lb["Scheme"] = "internal"
    e.time_out()
    e.no_other_scheme()
    e.only_pods()
    return e


@scene("healthy", "DNS009i")
def dns_hosts_file() -> Edit:
    e = Edit()
    e.dns["getaddrinfo"] = collected(["192.0.2.7"])
    return e


@scene("healthy", "DNS010w")
def dns_one_resolver_fails() -> Edit:
    e = Edit()
    second = _two_resolvers(e)
    second["value"] |= {"rcode": "SERVFAIL", "addresses": [], "chain": [], "ttl": None}
    return e


# --- target-health


@scene("broken", "*TGT001 REQ004")
def nlb_provisioning() -> Edit:
    e = Edit()
    e.lb["State"] = {"Code": "provisioning"}
    e.time_out()
    e.no_other_scheme()
    e.only_pods()
    return e


@scene("degraded", "*TGT003 REQ008 REQ012")
def alb_https_by_an_http_listener() -> Edit:
    e = Edit()
    e.lb["Type"] = "application"
    e.listener(443)["Protocol"] = "HTTP"
    e.fail("tls_protocol", "wrong version number: 'HTTP/1.1 400 Bad Request'", "tls")
    e.only_pods()
    return e


@scene("broken", "*TGT003 REQ010")
def alb_http_by_an_https_listener() -> Edit:
    e = Edit()
    e.lb["Type"] = "application"
    e.only_http()
    e.listener(80)["Protocol"] = "HTTPS"
    e.answer(400, hops=("client",), server="awselb/2.0")
    e.only_pods()
    return e


@scene("degraded", "*TGT003 REQ004 REQ012")
def nlb_listener_udp() -> Edit:
    e = Edit()
    e.listener()["Protocol"] = "UDP"
    e.time_out()
    return e


@scene("degraded", "*TGT005 TGT020 REQ009 REQ012")
def nlb_tls_to_websecure() -> Edit:
    e = Edit()
    e.listener()["Protocol"] = "TLS"
    e.answer(404, "404 page not found\n", hops=("client",), x_content_type_options="nosniff")
    return e


@scene("broken", "*TGT006 REQ011")
def nlb_tls_redirect_loop() -> Edit:
    e = Edit()
    e.listener()["Protocol"] = "TLS"
    e.forward(e.listener(), "myapp-web")
    e.arguments(
        "--entryPoints.web.http.redirections.entryPoint.to=websecure",
        "--entryPoints.web.http.redirections.entryPoint.scheme=https",
    )
    for probe in e.probes("client", "node"):
        first = probe["exchanges"][0]
        first |= {"status": 301, "headers": [["location", "https://myapp.example.com/"]]}
        first["body"] = "Moved Permanently"
        probe["exchanges"] = [copy.deepcopy(first) for _ in range(3)]
        probe["exchanges"][-1] |= {"error": "too_many_redirects", "error_text": "redirect loop"}
    e.no_other_scheme()
    e.only_pods()
    return e


@scene("healthy", "")
def nlb_tls_to_web_only() -> Edit:
    """The load balancer ends TLS, and Traefik knows plain http alone."""
    e = Edit()
    e.listener()["Protocol"] = "TLS"
    e.forward(e.listener(), "myapp-web")
    e.arguments(without="websecure")
    own = e.traefik_service["spec"]
    own["ports"] = [p for p in own["ports"] if p["name"] != "websecure"]
    for replica in e.replicas:
        routers = replica["routers"]["value"]
        replica["routers"]["value"] = [r for r in routers if "websecure" not in r["using"]]
    return e


@scene("degraded", "*TGT007 TGT020 REQ004 REQ012")
def nlb_security_group() -> Edit:
    e = Edit()
    group = e.aws["security_groups"]["value"][0]
    group["IpPermissions"] = [r for r in group["IpPermissions"] if r["FromPort"] != 443]
    e.time_out()
    return e


@scene("broken", "*TGT008 REQ005")
def nlb_acm_certificate() -> Edit:
    e = Edit()
    e.listener()["Protocol"] = "TLS"
    e.listener()["Certificates"] = [
        {"CertificateArn": "arn:aws:acm:ap-northeast-2:123456789012:certificate/1b2c3d4e"}
    ]
    e.forward(e.listener(), "myapp-web")
    e.certificate(issuer="CN=Amazon RSA 2048 M02,O=Amazon,C=US", not_after="2026-11-20T23:59:59Z")
    return e


@scene("broken", "*TGT009 TGT020 REQ010")
def alb_fixed_response() -> Edit:
    e = Edit()
    e.lb["Type"] = "application"
    e.listener()["Protocol"] = "HTTPS"
    e.forward(e.listener(), "myapp-web")
    e.aws["rules"][e.listener()["ListenerArn"]] = collected(
        [
            {
                "Priority": "10",
                "Conditions": [
                    {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}}
                ],
                "Actions": [
                    {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
                ],
            },
            {"Priority": "default", "IsDefault": True, "Actions": e.listener()["DefaultActions"]},
        ]
    )
    e.answer(503, "under maintenance", hops=("client",), server="awselb/2.0")
    return e


@scene("degraded", "*TGT011 REQ004 REQ012")
def tg_not_in_use() -> Edit:
    e = Edit()
    e.set_health("unused", "Target.NotInUse", "Target is in an AZ that is not enabled")
    e.fail("refused", "connection refused")
    e.http["hops"] = []
    return e


@scene("degraded", "*TGT012 REQ004 REQ012")
def tg_instances_stopped() -> Edit:
    e = Edit()
    e.set_health("unused", "Target.InvalidState", "Target is in the stopped state")
    e.time_out()
    e.http["hops"] = []
    return e


@scene("degraded", "*TGT013 REQ004 REQ012")
def tg_not_registered() -> Edit:
    e = Edit()
    e.set_health("unused", "Target.NotRegistered", "Target is not registered to the target group")
    e.time_out()
    e.http["hops"] = []
    return e


@scene("degraded", "*TGT016 TGT017")
def tg_health_path() -> Edit:
    e = Edit()
    e.group().update(
        HealthCheckProtocol="HTTPS", HealthCheckPath="/", Matcher={"HttpCode": "200-399"}
    )
    e.set_health(
        "unhealthy",
        "Target.ResponseCodeMismatch",
        "Health checks failed with these codes: [404]",
    )
    return e


@scene("healthy", "TGT019w TGT017w")
def tg_stale_pod_targets() -> Edit:
    e = tg_pods_of_two_clusters()
    e.set_health("unhealthy", "Target.FailedHealthChecks", last=1)
    return e


@scene("healthy", "")
def tg_pods_of_two_clusters() -> Edit:
    """A target that is nobody's here and healthy: another cluster behind the same group."""
    e = Edit()
    e.group()["TargetType"] = "ip"
    for described, address in zip(e.health(), ("50", "51", "99"), strict=True):
        described["Target"] = {"Id": f"127.230.240.{address}", "Port": 8443}
    return e


@scene("healthy", "TGT021i")
def tg_initial() -> Edit:
    e = Edit()
    e.set_health("initial", "Elb.InitialHealthChecking", last=1)
    return e


@scene("healthy", "TGT022i")
def local_policy() -> Edit:
    e = Edit()
    e.traefik_service["spec"]["externalTrafficPolicy"] = "Local"
    e.set_health("unhealthy", "Target.FailedHealthChecks", last=1)
    return e


@scene("unknown", "TGT023i")
def tg_hairpin() -> Edit:
    """All requests time out inside; the nodes answer. Nothing is accused, nothing is green."""
    e = Edit()
    e.data["vantage"]["in_cluster"] = True
    e.time_out()
    e.no_other_scheme()
    return e


@scene("healthy", "TGT023i")
def tg_hairpin_once() -> Edit:
    e = Edit()
    e.data["vantage"]["in_cluster"] = True
    e.fail("connect_timeout", "no answer within 5 s", only=1)
    return e


@scene("broken", "*TGT020 REQ004")
def tg_no_hairpin_without_client_addresses() -> Edit:
    e = tg_hairpin()
    arn = e.group()["TargetGroupArn"]
    e.aws["target_group_attributes"][arn]["value"]["preserve_client_ip.enabled"] = "false"
    return e


@scene("healthy", "TGT024i")
def tg_zone_gap_in_dns() -> Edit:
    e = Edit()
    for described in list(e.health()):
        if described["Target"]["Id"] == "i-0a1b2c3d4e5f60002":
            e.health().remove(described)
    return e


@scene("degraded", "*TGT024 TGT020 REQ004")
def tg_zone_gap() -> Edit:
    e = tg_zone_gap_in_dns()
    e.fail("refused", "connection refused", only=1)
    return e


@scene("degraded", "*TGT020 REQ004")
def lb_address_dark_from_outside() -> Edit:
    """One address is silent, the other serves; the nodes cannot be asked from here."""
    e = Edit()
    e.fail("connect_timeout", "no answer within 5 s", only=1)
    e.http["hops"] = [{"value": None, "why": "not_reachable_from_here"}]
    return e


# --- traefik-service


@scene("broken", "TGT017 *SVC006 REQ004")
def local_without_pods() -> Edit:
    e = Edit()
    e.traefik_service["spec"]["externalTrafficPolicy"] = "Local"
    for pod in e.traefik_pods:
        pod["spec"]["nodeName"] = "node-4"
    e.set_health("unhealthy", "Target.FailedHealthChecks")
    e.time_out("client", "node")
    e.no_other_scheme()
    return e


@scene("broken", "TGT017 SVC016 *SVC010 SVC007 REQ004")
def traefik_ping_off() -> Edit:
    e = Edit()
    e.arguments(without="--ping")
    e.not_ready(e.traefik_pods)
    e.set_health("unhealthy", "Target.FailedHealthChecks")
    e.fail("refused", "connection refused", hops=("client", "node"))
    e.no_other_scheme()
    return e


@scene("healthy", "SVC013w")
def dashboard_exposed() -> Edit:
    e = Edit()
    group = copy.deepcopy(e.group())
    group |= {
        "TargetGroupName": "myapp-dashboard",
        "TargetGroupArn": "arn:dashboard",
        "Port": 30900,
    }
    e.aws["target_groups"]["value"].append(group)
    targets = copy.deepcopy(e.health())
    for described in targets:
        described["Target"]["Port"] = 30900
    e.aws["target_health"]["arn:dashboard"] = collected(targets)
    listener = copy.deepcopy(e.listener())
    listener |= {"Port": 9000, "ListenerArn": "arn:9000"}
    e.forward(listener, "myapp-dashboard")
    next(iter(e.aws["listeners"].values()))["value"].append(listener)
    return e


@scene("degraded", "TGT014 TGT017 *SVC014 REQ004 REQ012")
def traefik_service_without_port() -> Edit:
    e = Edit()
    own = e.traefik_service["spec"]
    own["ports"] = [p for p in own["ports"] if p["name"] != "websecure"]
    e.set_health("unhealthy", "Target.FailedHealthChecks")
    e.fail("refused", "connection refused", hops=("client", "node"))
    e.http["hops"] = []
    return e


@scene("broken", "TGT017 *SVC015 REQ004")
def traefik_absent() -> Edit:
    e = Edit()
    e.lists["pods"] = collected(e.app_pods)
    for key in (f"pods@{TRAEFIK_NS}", "pods@default", f"deployments@{TRAEFIK_NS}"):
        e.lists.pop(key)
    e.items("services").remove(e.traefik_service)
    e.replicas.clear()
    e.set_health("unhealthy", "Target.FailedHealthChecks")
    e.time_out()
    e.http["hops"] = []
    e.no_other_scheme()
    return e


@scene("broken", "TGT017 *SVC016 REQ004")
def kube_proxy() -> Edit:
    e = Edit()
    e.set_health("unhealthy", "Target.FailedHealthChecks")
    e.time_out("client", "node")
    e.no_other_scheme()
    return e


@scene("broken", "*SVC017 REQ010")
def another_service_holds_the_addresses() -> Edit:
    """k3s: port 443 of the nodes is another Service's, and Traefik's waits."""
    e, nodes = Edit(), ("127.230.240.10", "127.230.240.11")
    e.aws["load_balancers"] = collected([])
    for answer in e.dns["answers"]:
        answer["value"] |= {"chain": []}
        if answer["value"]["addresses"]:
            answer["value"]["addresses"] = [*nodes]
    e.traefik_service["spec"]["type"] = "LoadBalancer"
    spec = {"type": "LoadBalancer", "ports": [{"name": "https", "port": 443}]}
    e.add("services", "Service", "ingress-nginx-controller", spec, "ingress-nginx")
    held = {"loadBalancer": {"ingress": [{"ip": one} for one in nodes]}}
    e.one("services", "ingress-nginx-controller")["status"] = held
    e.answer(404, "<center>nginx</center>", hops=("client",), server="nginx")
    e.certificate(subject="CN=fake", issuer="CN=fake", names=["ingress.local"])
    for replica in e.replicas:
        replica["log"]["value"] = []
    e.no_other_scheme()
    return e


# --- ingress


@scene("broken", "*ING003 REQ007 REQ009")
def ingress_namespace_filter() -> Edit:
    e = Edit()
    e.arguments("--providers.kubernetesingress.namespaces=production,staging")
    e.unroute()
    e.traefik_404(default_certificate=True)
    e.no_other_scheme()
    return e


@scene("broken", "*ING006 REQ007 REQ009")
def ingress_resource_backend() -> Edit:
    e = Edit()
    e.ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"] = {
        "resource": {"apiGroup": "k8s.example.com", "kind": "StorageBucket", "name": "assets"}
    }
    e.unroute()
    e.traefik_404(default_certificate=True)
    e.no_other_scheme()
    return e


@scene("broken", "*ING046 LOG002 REQ007 REQ009")
def ingress_of_another_with_a_resource() -> Edit:
    e = Edit()
    e.version("3.3.6")
    other = copy.deepcopy(e.ingress)
    other["metadata"] |= {"name": "assets", "namespace": "static"}
    (rule,) = other["spec"]["rules"]
    rule["host"] = "static.example.com"
    bucket = {"apiGroup": "k8s.example.com", "kind": "StorageBucket", "name": "assets"}
    rule["http"]["paths"][0]["backend"] = {"resource": bucket}
    e.items("ingresses").append(other)
    e.unroute()
    e.traefik_404(default_certificate=True)
    e.no_other_scheme()
    return e


def _second_ingress(e: Edit, name: str, host: str) -> dict:
    other = copy.deepcopy(e.ingress)
    other["metadata"]["name"] = name
    rule = other["spec"]["rules"][0]
    rule["host"] = host
    rule["http"]["paths"][0]["backend"] = e.second_application()
    e.items("ingresses").append(other)
    return other


@scene("degraded", "*ING008")
def ingress_wildcard_steals() -> Edit:
    e = Edit()
    e.version("3.6.2")
    _second_ingress(e, "catch-all", "*.example.com")
    return e


@scene("degraded", "*ING009")
def ingress_conflict() -> Edit:
    e = Edit()
    _second_ingress(e, "my-app-copy", "myapp.example.com")
    return e


@scene("degraded", "*ING011 REQ009 REQ012")
def ingress_other_entry_point() -> Edit:
    e = Edit()
    e.annotate(router__entrypoints="web")
    for router in e.routers():
        router |= {"entryPoints": ["web"], "using": ["web"]}
        router.pop("tls", None)
    e.traefik_404()
    return e


@scene("broken", "*ING014 LOG002 REQ009")
def middleware_secret_missing() -> Edit:
    e = Edit()
    e.annotate(router__middlewares="default-auth@kubernetescrd")
    e.add("middlewares", "Middleware", "auth", {"basicAuth": {"secret": "auth-users"}})
    e.data["kube"]["objects"]["secrets@default/auth-users"] = {
        "why": "not_found",
        "source": "GET /api/v1/namespaces/default/secrets/auth-users",
    }
    e.unroute()
    e.traefik_404()
    e.no_other_scheme()
    return e


@scene("broken", "*SVC030 LOG002 REQ009")
def api_that_is_off() -> Edit:
    e = Edit()
    _ingressroute(e, "Host(`myapp.example.com`)")
    service = {"name": "dashboard@internal", "kind": "TraefikService"}
    e.items("ingressroutes")[0]["spec"]["routes"][0]["services"] = [service]
    e.arguments(without="--api")
    return e


@scene("broken", "*SVC031 REQ007")
def acme_file_too_open() -> Edit:
    e = Edit()
    e.annotate(router__tls="true", router__tls__certresolver="le")
    e.arguments("--certificatesResolvers.le.acme.storage=/data/acme.json")
    e.ingress["spec"].pop("tls")
    e.certificate(
        subject="CN=TRAEFIK DEFAULT CERT", issuer="CN=TRAEFIK DEFAULT CERT",
        names=["4d5f.traefik.default"], self_signed=True,
    )  # fmt: skip
    e.unverified(18, "self-signed certificate")
    why = "unable to get ACME account: permissions 660 for /data/acme.json are too open"
    message = "The ACME resolve is skipped from the resolvers list"
    e.log(f"ERR {message}", message, error=why, resolver="le")
    e.no_other_scheme()
    return e


@scene("broken", "*ING030 REQ009")
def route_of_the_former_group() -> Edit:
    e = Edit()
    _ingressroute(e, "Host(`myapp.example.com`)")
    e.lists["ingressroutes.traefik.containo.us"] = e.lists["ingressroutes"]
    e.lists["ingressroutes"] = collected([])
    return e


@scene("broken", "*ING031 REQ002")
def rewrite_of_another_controller() -> Edit:
    e = Edit()
    note = {"nginx.ingress.kubernetes.io/rewrite-target": "/"}
    e.ingress["metadata"]["annotations"] = note
    e.answer(404, "Cannot GET /app", hops=EVERYWHERE, server="gunicorn")
    e.target["path_asked"] = True
    e.no_other_scheme()
    return e


@scene("broken", "*ING031 END008 REQ014")
def scheme_on_the_ingress() -> Edit:
    e = Edit()
    e.annotate(service__serversscheme="https")
    e.answer(400, "Client sent an HTTP request to an HTTPS server.\n")
    e.fail("protocol", "\x15\x03\x01", hops=("pod",), phase="first_byte")
    e.no_other_scheme()
    return e


@scene("broken", "*ING015 REQ011")
def redirect_to_inner_port() -> Edit:
    e = Edit()
    e.only_http()
    e.arguments("--entryPoints.web.http.redirections.entryPoint.to=websecure")
    for probe in e.probes("client", "node", "traefik-pod"):
        first = probe["exchanges"][0]
        second = copy.deepcopy(first)
        where = "https://myapp.example.com:8443/"
        first |= {"status": 301, "headers": [["location", where]], "body": "Moved Permanently"}
        second |= {"url": where, "port": 8443, "status": None, "headers": [], "body": ""}
        second |= {"error": "refused", "error_text": "connection refused"}
        probe["exchanges"] = [first, second]
    e.only_pods()
    return e


@scene("broken", "*ING018 REQ008")
def strict_sni() -> Edit:
    e = Edit()
    e.add("tlsoptions", "TLSOption", "default", {"sniStrict": True}, TRAEFIK_NS)
    e.ingress["spec"].pop("tls")
    words = "tlsv1 alert unrecognized name"
    e.fail("tls_alert", words, "tls", hops=("client", "node", "traefik-pod"))
    return e


@scene("broken", "*ING045 REQ008")
def tls_options_differ() -> Edit:
    e = Edit()
    loaded = [replica["routers"]["value"] for replica in e.replicas]
    _ingressroute(e, "Host(`myapp.example.com`)")
    for replica, routers in zip(e.replicas, loaded, strict=True):
        replica["routers"]["value"] = routers
    for router in e.routers():
        router["rule"] = "Host(`myapp.example.com`)"
    own = e.one("ingressroutes", "my-app")["spec"]
    rule = own["routes"][0] | {"match": "Host(`myapp.example.com`) && PathPrefix(`/admin`)"}
    e.add("ingressroutes", "IngressRoute", "admin", own | {"routes": [rule]})
    own["tls"] = own["tls"] | {"options": {"name": "open"}}
    e.add("tlsoptions", "TLSOption", "open", {"minVersion": "VersionTLS12"})
    demand = {"clientAuth": {"clientAuthType": "RequireAndVerifyClientCert"}}
    e.add("tlsoptions", "TLSOption", "default", demand, TRAEFIK_NS)
    words = "tlsv13 alert certificate required"
    e.fail("tls_alert", words, "tls", hops=("client", "node", "traefik-pod"))
    return e


@scene("broken", "*ING019 REQ007")
def resolver_missing() -> Edit:
    e = Edit()
    e.annotate(router__tls="true", router__tls__certresolver="letsencrypt")
    e.ingress["spec"].pop("tls")
    e.certificate(
        subject="CN=TRAEFIK DEFAULT CERT", issuer="CN=TRAEFIK DEFAULT CERT",
        names=["4d5f.traefik.default"], self_signed=True,
    )  # fmt: skip
    e.unverified(18, "self-signed certificate")
    return e


def _ingressroute(e: Edit, match: str, **service: object) -> None:
    e.items("ingresses").clear()
    route = {
        "kind": "Rule",
        "match": match,
        "services": [{"name": "my-app-service", "port": 80, **service}],
    }
    spec = {"entryPoints": ["websecure"], "routes": [route], "tls": {"secretName": "myapp-tls"}}
    e.add("ingressroutes", "IngressRoute", "my-app", spec)
    e.unroute()
    e.traefik_404()
    e.no_other_scheme()


@scene("broken", "*ING020 LOG002 REQ009")
def traefikservice_missing() -> Edit:
    e = Edit()
    _ingressroute(e, "Host(`myapp.example.com`)", kind="TraefikService", name="canary")
    return e


@scene("broken", "*ING021 REQ009")
def rule_of_v2() -> Edit:
    e = Edit()
    _ingressroute(e, "Host(`myapp.example.com`, `www.example.com`)")
    return e


@scene("broken", "*ING022 LOG010 REQ009")
def router_disabled() -> Edit:
    e = Edit()
    for router in e.routers():
        router |= {
            "status": "disabled",
            "error": ["unknown TLS options: default-modern@kubernetescrd"],
        }
    e.traefik_404()
    e.no_other_scheme()
    return e


@scene("healthy", "ING023i")
def other_path_broken() -> Edit:
    e = Edit()
    paths = e.ingress["spec"]["rules"][0]["http"]["paths"]
    paths.append(
        {
            "path": "/admin",
            "pathType": "Prefix",
            "backend": {"service": {"name": "admin", "port": {"number": 80}}},
        }
    )
    return e


# --- endpoints


@scene("healthy", "END006w")
def one_pod_crashes() -> Edit:
    e = Edit()
    e.not_ready(e.app_pods[:1], reason="CrashLoopBackOff", message="back-off 5m0s restarting")
    e.endpoints[0]["conditions"] = {"ready": False, "serving": False, "terminating": False}
    e.http["hops"] = [
        c for c in e.http["hops"] if c["value"].get("name") != e.app_pods[0]["metadata"]["name"]
    ]
    for replica in e.replicas:
        for service in replica["services"]["value"]:
            servers = (service.get("loadBalancer") or {}).get("servers") or []
            if len(servers) == 2:
                servers.pop(0)
    return e


@scene("broken", "*END007 LOG002 REQ009")
def external_name_denied() -> Edit:
    e = Edit()
    e.service["spec"] = {
        "type": "ExternalName",
        "externalName": "legacy.internal.example.com",
        "ports": [{"port": 80}],
    }
    e.items("endpointslices@default").clear()
    e.unroute()
    e.traefik_404()
    e.http["hops"] = []
    e.no_other_scheme()
    return e


def _traefik_answers(e: Edit, status: int, body: str) -> None:
    e.answer(status, body)
    e.no_other_scheme()


@scene("broken", "*END008 REQ009")
def pods_speak_tls() -> Edit:
    e = Edit()
    _traefik_answers(e, 502, "Bad Gateway")
    again = copy.deepcopy(next(c for c in e.http["hops"] if c["value"]["hop"] == "pod"))
    e.fail("reset", "connection closed before an answer", "first_byte", hops=("pod",))
    again["value"]["scheme"] = "https"
    again["value"]["exchanges"][-1]["tls"] = {"version": "TLSv1.3", "cipher": "AES128-GCM-SHA256"}
    e.http["hops"].append(again)
    return e


@scene("broken", "*REQ003 REQ009")
def pods_close_connections() -> Edit:
    e = Edit()
    _traefik_answers(e, 502, "Bad Gateway")
    e.fail("reset", "connection closed before an answer", "first_byte", hops=("pod",))
    return e


@scene("broken", "*END009 REQ009")
def pods_certificate() -> Edit:
    e = Edit()
    e.service["metadata"]["annotations"] = {
        "traefik.ingress.kubernetes.io/service.serversscheme": "https"
    }
    _traefik_answers(e, 500, "Internal Server Error")
    words = "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    e.log(
        f"ERR 500 Internal Server Error error={words!r}", "500 Internal Server Error", error=words
    )
    e.without_pods()
    return e


@scene("broken", "*END010 REQ009")
def network_policy() -> Edit:
    e = Edit()
    e.add(
        "networkpolicies@default",
        "NetworkPolicy",
        "default-deny",
        {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": []},
    )
    _traefik_answers(e, 504, "Gateway Timeout")
    return e


@scene("broken", "END011i LOG002 REQ009")
def scaled_to_zero() -> Edit:
    e = Edit()
    e.one("deployments@default", "my-app")["spec"]["replicas"] = 0
    e.app_pods.clear()
    e.endpoints.clear()
    e.unroute()
    e.traefik_404()
    e.without_pods()
    e.no_other_scheme()
    return e


@scene("broken", "*END012 LOG002 REQ009")
def service_without_slices() -> Edit:
    e = Edit()
    e.service["spec"].pop("selector")
    e.items("endpointslices@default").clear()
    e.unroute()
    e.traefik_404()
    e.without_pods()
    e.no_other_scheme()
    return e


@scene("degraded", "*END013 REQ009")
def one_pod_refuses() -> Edit:
    e = Edit()
    e.fail("refused", "connection refused", hops=("pod",), only=1)
    e.answer(502, "Bad Gateway", hops=("client",), only=1)
    return e


def weighted(e: Edit, *weights: int, **service: object) -> None:
    """An IngressRoute leads to the application by a weighted TraefikService."""
    services = [{"name": "my-app-service", "port": 80, "weight": w, **service} for w in weights]
    e.add("traefikservices", "TraefikService", "ver", {"weighted": {"services": services}})
    rule = {"kind": "Rule", "match": "Host(`myapp.example.com`)"}
    route = {**rule, "services": [{"name": "ver", "kind": "TraefikService"}]}
    e.items("ingresses").clear()
    tls = {"secretName": "myapp-tls"}
    spec = {"entryPoints": ["websecure"], "routes": [route], "tls": tls}
    e.add("ingressroutes", "IngressRoute", "my-app", spec)
    e.no_other_scheme()


@scene("broken", "*END022 REQ009")
def every_weight_is_zero() -> Edit:
    e = Edit()
    weighted(e, 0)
    _traefik_answers(e, 503, "no available server\n")
    return e


def health_check_fails(e: Edit, words: str) -> None:
    """Traefik's own health check of a host outside fails, so that it answers 503."""
    e.arguments("--providers.kubernetescrd.allowExternalNameServices=true")
    e.service["spec"] |= {"type": "ExternalName", "externalName": "10.9.9.9"}
    weighted(e, 1, healthCheck={"path": "/healthz"})
    e.without_pods()
    _traefik_answers(e, 503, "no available server\n")
    fields = {
        "error": words,
        "serviceName": "default-ver-0a1b2c3d4e5f60718293@kubernetescrd",
        "targetURL": "http://10.9.9.9:80",
    }
    e.log(f"WRN Health check failed. error={words!r}", "Health check failed.", "warn", **fields)


@scene("broken", "*END023 REQ009")
def health_check_of_a_path_that_is_not_there() -> Edit:
    e = Edit()
    health_check_fails(e, "checking HTTP health: received error status code: 404")
    return e


@scene("broken", "*END024 REQ009")
def transport_gives_up() -> Edit:
    e = Edit()
    e.service["metadata"]["annotations"] = {
        "traefik.ingress.kubernetes.io/service.serverstransport": "default-slow@kubernetescrd"
    }
    spec = {"forwardingTimeouts": {"responseHeaderTimeout": "500ms"}}
    e.add("serverstransports", "ServersTransport", "slow", spec)
    _traefik_answers(e, 504, "Gateway Timeout")
    e.takes(0.52, "client", "node", "traefik-pod")
    e.takes(1.5, "pod")
    return e


@scene("broken", "*END014 REQ009")
def traefik_to_pods_cut() -> Edit:
    e = Edit()
    _traefik_answers(e, 502, "Bad Gateway")
    return e


@scene("broken", "*END020 LOG002 REQ009")
def one_service_scaled_to_zero() -> Edit:
    e = Edit("ir-weighted-empty")
    e.arguments(without="allowemptyservices")
    e.add(
        "deployments@default",
        "Deployment",
        "canary",
        {"replicas": 0, "template": {"metadata": {"labels": {"app": "my-app-canary"}}}},
    )
    e.items("endpointslices@default")[0]["endpoints"] = []
    e.unroute()
    e.traefik_404()
    return e


@scene("broken", "*END021 REQ003")
def packets_to_the_pods_are_lost() -> Edit:
    e = Edit()
    e.on_node("node-3")
    e.time_out("pod")
    e.fail("read_timeout", "no answer", "first_byte", ("client", "node", "traefik-pod"))
    e.no_other_scheme()
    return e


# --- traefik-logs


@scene("degraded", "*LOG003 REQ009")
def stale_servers() -> Edit:
    e = Edit()
    for service in e.replicas[0]["services"]["value"]:
        for at, server in enumerate((service.get("loadBalancer") or {}).get("servers") or []):
            server["url"] = f"http://127.230.240.{70 + at}:8080"
    e.answer(502, "Bad Gateway", only=1)
    e.without_pods()
    return e


# --- request


@scene("broken", "*ING044 REQ014")
def host_header_of_the_pods() -> Edit:
    e = Edit()
    own = e.service["metadata"].setdefault("annotations", {})
    own["traefik.ingress.kubernetes.io/service.passhostheader"] = "false"
    e.answer(421, "no site of that name", server="gunicorn")
    e.no_other_scheme()
    return e


@scene("broken", "*REQ002")
def application_404() -> Edit:
    e = Edit()
    e.target |= {"path": "/orders", "path_asked": True}
    e.answer(404, '{"error": "no such page"}', hops=EVERYWHERE, server="gunicorn")
    e.no_other_scheme()
    return e


@scene("broken", "*REQ005")
def certificate_expired() -> Edit:
    e = Edit()
    e.certificate(not_after="2026-11-21T09:12:44Z")
    e.no_other_scheme()
    return e


@scene("healthy", "REQ006w")
def certificate_untrusted() -> Edit:
    e = Edit()
    e.certificate(issuer="CN=Example Corp Internal CA")
    e.unverified(20, "unable to get local issuer certificate")
    return e


@scene("broken", "*REQ010")
def cloudflare_522() -> Edit:
    e = Edit()
    e.answer(522, "error code: 522", hops=("client",), server="cloudflare")
    e.no_other_scheme()
    e.http["hops"] = []
    return e


@scene("healthy", "REQ013w")
def certificate_soon() -> Edit:
    e = Edit()
    e.certificate(not_before="2026-09-03T00:00:00Z", not_after="2026-12-02T00:00:00Z")
    return e


@scene("broken", "*REQ014")
def unexpected_status() -> Edit:
    e = Edit()
    e.answer(418, "short and stout", hops=EVERYWHERE, server="gunicorn")
    e.no_other_scheme()
    return e


@scene("degraded", "*REQ017")
def http2_breaks() -> Edit:
    e = Edit()
    e.versions(works="HTTP/1.1", error="reset", error_text="GOAWAY PROTOCOL_ERROR")
    return e


@scene("degraded", "*REQ017")
def http1_breaks() -> Edit:
    e = Edit()
    e.versions(works="HTTP/2", error="read_timeout")
    return e


@scene("healthy", "REQ017w")
def http2_alone_by_design() -> Edit:
    e = Edit()
    e.versions(works="HTTP/2", status=464)
    return e


@scene("healthy", "REQ016i")
def default_path_404() -> Edit:
    e = Edit()
    e.answer(404, '{"error": "no such page"}', server="gunicorn")
    return e


# --- answers before the application


def _turned_away(e: Edit, status: int, body: str, **headers: str) -> None:
    """Traefik's own words, without a Content-Type."""
    e.answer(status, body)
    for probe in e.probes("client", "node", "traefik-pod"):
        probe["exchanges"][-1]["headers"] = [[k.replace("_", "-"), v] for k, v in headers.items()]
    e.no_other_scheme()


@scene("broken", "*ING040 REQ014")
def allow_list_that_sees_nodes() -> Edit:
    e = Edit()
    e.add("middlewares", "Middleware", "office", {"ipAllowList": {"sourceRange": ["10.8.0.0/16"]}})
    e.annotate(router__middlewares="default-office@kubernetescrd")
    _turned_away(e, 403, "Forbidden")
    return e


@scene("healthy", "ING041i")
def a_password_is_asked_for() -> Edit:
    e = Edit()
    e.add("middlewares", "Middleware", "login", {"basicAuth": {"secret": "users"}})
    e.annotate(router__middlewares="default-login@kubernetescrd")
    e.data["kube"]["objects"]["secrets@default/users"] = collected(
        {"kind": "Secret", "metadata": {"name": "users", "namespace": "default"}}
    )
    _turned_away(e, 401, "401 Unauthorized\n", www_authenticate='Basic realm="traefik"')
    return e


@scene("broken", "*SVC040 REQ009")
def redirect_of_what_is_https() -> Edit:
    e = Edit()
    e.lb["Type"] = "application"
    e.listener()["Protocol"] = "HTTPS"
    e.group("myapp-web")["Protocol"] = "HTTP"
    e.forward(e.listener(), "myapp-web")
    e.arguments("--entryPoints.web.http.redirections.entryPoint.to=websecure")
    _turned_away(e, 418, "")
    return e


@scene("broken", "REQ009 *REQ030")
def prefix_that_the_application_does_not_know() -> Edit:
    e = Edit()
    e.target |= {"path": "/jenkins", "path_asked": True}
    e.add("middlewares", "Middleware", "strip", {"stripPrefix": {"prefixes": ["/jenkins"]}})
    e.annotate(router__middlewares="default-strip@kubernetescrd")
    for probe in e.probes("client"):
        first = copy.deepcopy(probe["exchanges"][-1])
        first |= {"url": "https://myapp.example.com/jenkins", "status": 302}
        first["headers"] = [["location", "/login"]]
        last = {**first, "url": "https://myapp.example.com/login", "status": 404}
        last |= {"body": "404 page not found\n", "headers": [["x-content-type-options", "nosniff"]]}
        probe["exchanges"] = [first, last]
    e.no_other_scheme()
    return e
