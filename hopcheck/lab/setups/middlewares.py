"""Middlewares between the route and the application."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from hopcheck.lab.pods import Behaviour
from hopcheck.lab.setups.gallery import (
    annotate,
    flags,
    ingress_only,
    instead_of_ingress,
    put,
    setup,
)
from hopcheck.lab.topology import GATEWAY, HOST, INGRESS, SERVICE

if TYPE_CHECKING:
    from hopcheck.lab.lab import Lab

_MATCH = f"Host(`{HOST}`)"


FAMILY = "middlewares"


@setup(FAMILY, "middleware-chain")
async def middleware_chain(lab: Lab) -> None:
    """A chain of middlewares, one of them in another namespace by its full name."""
    put(lab, "Middleware", "headers", "headers: {customResponseHeaders: {X-Robots-Tag: none}}")
    put(lab, "Middleware", "limit", "rateLimit: {average: 1000, burst: 2000}", GATEWAY)
    put(lab, "Middleware", "small", "compress: {}")
    put(lab, "Middleware", "all", "chain: {middlewares: [{name: headers}, {name: small}]}")
    names = "default-all@kubernetescrd,api-gateway-system-limit@kubernetescrd"
    annotate(lab, "ingresses", INGRESS, router__middlewares=names)


@setup(FAMILY, "basic-auth")
async def basic_auth(lab: Lab) -> None:
    """The site asks for a password: 401 from a middleware."""
    users = base64.b64encode(b"a:$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/\n").decode()
    put(lab, "Secret", "users", data={"users": users})
    put(lab, "Middleware", "password", "basicAuth: {secret: users, removeHeader: true}")
    annotate(lab, "ingresses", INGRESS, router__middlewares="default-password@kubernetescrd")


@setup(FAMILY, "forbidden-here", options=("--expect-status", "200-399,403"))
async def forbidden(lab: Lab) -> None:
    """An allow list lets only the office in: 403 from a middleware, which is what is expected."""
    put(lab, "Middleware", "office", "ipAllowList: {sourceRange: [203.0.113.0/24]}")
    annotate(lab, "ingresses", INGRESS, router__middlewares="default-office@kubernetescrd")


@setup(FAMILY, "forward-auth")
async def forward_auth(lab: Lab) -> None:
    """A forwardAuth service sends everybody to a login on another host."""
    await lab.set_app(
        lab.plan.app[0].name, Behaviour(status=302, location="https://sso.example.org/")
    )
    pod = lab.plan.app[0]
    put(
        lab,
        "Middleware",
        "login",
        f"forwardAuth: {{address: 'http://{pod.address}:{pod.ports['http']}/'}}",
    )
    annotate(lab, "ingresses", INGRESS, router__middlewares="default-login@kubernetescrd")


@setup(FAMILY, "redirect-elsewhere", "ppppnpp")
async def redirect_elsewhere(lab: Lab) -> None:
    """The site has moved: a redirectRegex to another host, and no server behind it."""
    put(
        lab, "Middleware", "moved",
        "redirectRegex: {regex: '^https?://[^/]+/(.*)', replacement: 'https://new.example.org/${1}',"
        " permanent: true}",
    )  # fmt: skip
    instead_of_ingress(
        lab,
        _MATCH,
        "[{name: noop@internal, kind: TraefikService}]",
        ", middlewares: [{name: moved}]",
    )


@setup(FAMILY, "redirect-www")
async def redirect_www(lab: Lab) -> None:
    """The bare name leads to its www by the Ingress's middleware; the Service has no pods."""
    put(
        lab, "Middleware", "www",
        f"redirectRegex: {{regex: '^https://{HOST}/(.*)', replacement:"
        f" 'https://www.{HOST}/${{1}}'}}",
    )  # fmt: skip
    annotate(lab, "ingresses", INGRESS, router__middlewares="default-www@kubernetescrd")


@setup(FAMILY, "strip-prefix", target=f"https://{HOST}/app/")
async def strip_prefix(lab: Lab) -> None:
    """A path that is stripped on the way."""
    put(lab, "Middleware", "strip", "stripPrefix: {prefixes: [/app]}")
    ingress_only(lab, (HOST, "/app", SERVICE))
    annotate(lab, "ingresses", INGRESS, router__middlewares="default-strip@kubernetescrd")


@setup(FAMILY, "file-middleware")
async def file_middleware(lab: Lab) -> None:
    """Middlewares and TLS options that the file provider brings."""
    dynamic = {
        "http": {"middlewares": {"secure": {"headers": {"frameDeny": True}}}},
        "tls": {"options": {"modern": {"minVersion": "VersionTLS13"}}},
    }
    path = lab.directory / "dynamic.yml"
    path.write_text(json.dumps(dynamic))
    annotate(lab, "ingresses", INGRESS, router__middlewares="secure@file",
             router__tls__options="modern@file", router__tls="true")  # fmt: skip
    await flags(lab, f"--providers.file.filename={path}")


@setup(FAMILY, "error-pages")
async def error_pages(lab: Lab) -> None:
    """Error pages of another Service, which is empty, and a retry and a circuit breaker."""
    put(lab, "Service", "pages", "{selector: {app: pages}, ports: [{port: 80}]}")
    put(lab, "Middleware", "pages",
        "errors: {status: ['500-599'], query: /x, service: {name: pages, port: 80}}")  # fmt: skip
    put(lab, "Middleware", "again", "retry: {attempts: 3}")
    put(lab, "Middleware", "breaker", "circuitBreaker: {expression: 'NetworkErrorRatio() > 0.9'}")
    names = ",".join(f"default-{name}@kubernetescrd" for name in ("again", "breaker", "pages"))
    annotate(lab, "ingresses", INGRESS, router__middlewares=names)
    await flags(lab, "--providers.kubernetescrd.allowemptyservices=true")
