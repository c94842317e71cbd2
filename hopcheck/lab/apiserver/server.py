"""The HTTPS front: who asks, what for, and the answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from hopcheck.lab.apiserver import logs, proxy, writing
from hopcheck.lab.apiserver.discovery import discover
from hopcheck.lab.apiserver.errors import ApiError, NoSuchPath, not_found
from hopcheck.lab.apiserver.kinds import BY_PATH, UNSERVED, Resource
from hopcheck.lab.apiserver.rbac import (
    ANONYMOUS,
    Account,
    Attributes,
    Rule,
    require,
    require_path,
    verb_of,
)
from hopcheck.lab.apiserver.reading import Form, Watches, encoded, listed
from hopcheck.lab.apiserver.selectors import named_by
from hopcheck.lab.apiserver.store import Store

Obj = dict[str, Any]

_ENDPOINTS_WARNING = (
    '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'
)
_STOP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Target:
    """The resource that a path names; `rest` is what follows a subresource's name."""

    group: str
    version: str
    plural: str
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    rest: str = ""


def parse(path: str) -> Target | None:
    """The resource that a path is about, or None where it is about none."""
    parts = path.lstrip("/").split("/")
    if parts[0] == "api" and len(parts) > 2:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 2 and parts[2] not in ("status", "finalize"):
        namespace, parts = parts[1], parts[2:]
    plural, name, subresource = (*parts, "", "", "")[:3]
    if plural == "namespaces":
        namespace = name
    rest = f"/{'/'.join(parts[3:])}" if len(parts) > 3 else ""
    return Target(group, version, plural, namespace, name, subresource, rest)


class ApiServer:
    """A Kubernetes API server on one address, over TLS, with bearer tokens and RBAC.

    `delay` makes every answer that many seconds late; `requests` are the (method, path) seen,
    oldest first; `hidden` are groups that are not served, as where no CustomResourceDefinition
    brings them (for instance `traefik.io`).
    """

    def __init__(
        self, *, certificate: Path, key: Path, address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.store = Store()
        self.delay = 0.0
        self.requests: list[tuple[str, str]] = []
        self.hidden: set[str] = set(UNSERVED)
        self.address = address
        self.port = port
        self._certificate = certificate
        self._key = key
        self._accounts: dict[str, Account] = {}
        self._logs: dict[tuple[str, str, str], logs.ContainerLog] = {}
        self._watches = Watches(self.store)
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """The server's address, `https://address:port`, once it has started."""
        return f"https://{self.address}:{self.port}"

    async def start(self) -> None:
        """Listen; the port stays the same over stop and start."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        application = web.Application(client_max_size=8 * 2**20)
        application.router.add_route("*", "/{path:.*}", self._serve)
        self._watches.start()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True), auto_decompress=True
        )
        self._runner = web.AppRunner(
            application, access_log=None, handler_cancellation=True, shutdown_timeout=_STOP_SECONDS
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.address, self.port, ssl_context=context)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """End open watches and listen no more; nothing happens where it has not started."""
        self._watches.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._session is not None:
            await self._session.close()
            self._session = None

    def account(
        self,
        token: str,
        name: str,
        rules: Sequence[Rule] | None,
        namespaced: Mapping[str, Sequence[Rule]] | None = None,
    ) -> None:
        """Let a bearer token in, or replace what it may do.

        `rules` are those of a ClusterRole (PolicyRule objects; None grants everything),
        `namespaced` those of Roles, by namespace.
        """
        self._accounts[token] = Account(name, rules, dict(namespaced or {}))

    def rights(self) -> dict[str, Sequence[Rule] | None]:
        """The rules of each account that is let in, by token."""
        return {token: account.rules for token, account in self._accounts.items()}

    def forget(self, token: str) -> None:
        """Refuse a token from now on (401), as an expired one is."""
        self._accounts.pop(token, None)

    def set_log(
        self,
        namespace: str,
        pod: str,
        container: str,
        read: logs.Read,
        previous: logs.Read | None = None,
    ) -> None:
        """Where pods/log reads a container's output: the text, or lines with their times."""
        self._logs[namespace, pod, container] = logs.ContainerLog(read, previous)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        if self.delay:
            await asyncio.sleep(self.delay)
        try:
            return await self._answer(request)
        except ApiError as failure:
            return _json(failure.status(), failure.code)
        except NoSuchPath:
            return web.Response(status=404, text="404 page not found\n")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        account = self._authenticate(request)
        target = parse(request.path)
        if target is None:
            return self._meta(request, account)
        self._authorise(request, account, target)
        resource = BY_PATH.get((target.group, target.version, target.plural))
        if resource is None or resource.group in self.hidden:
            raise NoSuchPath
        if resource.verbs == ("create",):
            review = writing.review(await writing.body(request), resource, account)
            return _json(review, 201)
        if target.subresource not in ("", *resource.subresources):
            raise NoSuchPath
        if target.subresource == "log":
            return await self._log(request, target)
        if target.subresource == "proxy":
            return await self._proxy(request, target)
        if request.method in ("GET", "HEAD"):
            return await self._read(request, resource, target)
        return await self._write(request, resource, target)

    def _authenticate(self, request: web.Request) -> Account:
        header = request.headers.get("Authorization", "")
        if not header:
            return ANONYMOUS
        scheme, _, token = header.partition(" ")
        account = self._accounts.get(token.strip())
        if scheme.lower() != "bearer" or account is None:
            raise ApiError(401, "Unauthorized")
        return account

    def _authorise(self, request: web.Request, account: Account, target: Target) -> None:
        query = request.query
        name = target.name
        verb = verb_of(request.method, name=name, watch=query.get("watch") in ("true", "1"))
        if verb in ("list", "watch", "deletecollection"):
            name = named_by(query.get("fieldSelector", "")) or ""
        if target.subresource == "proxy":
            name = proxy.split(name)[1]
        access = Attributes(
            verb, target.group, target.plural, target.subresource, target.namespace, name
        )
        require(account, access)

    def _meta(self, request: web.Request, account: Account) -> web.Response:
        path = request.path.rstrip("/") or "/"
        require_path(account, request.method, path)
        if path in ("/healthz", "/livez", "/readyz"):
            return web.Response(text="ok")
        found = discover(path, request.headers.get("Accept", ""), self.hidden)
        if found is None:
            raise NoSuchPath
        if request.method not in ("GET", "HEAD"):
            raise ApiError(405, "the server does not allow this method on the requested resource")
        answer, content_type = found
        return web.Response(body=encoded(answer), headers={"Content-Type": content_type})

    async def _read(
        self, request: web.Request, resource: Resource, target: Target
    ) -> web.StreamResponse:
        form = Form.of(request, resource)
        namespace = target.namespace if resource.namespaced else ""
        if request.query.get("watch") in ("true", "1"):
            return await self._watches.serve(request, form, namespace, target.name)
        if target.name:
            found = self.store.get(resource.key, namespace, target.name)
            if found is None:
                raise not_found(resource.plural, resource.group, target.name)
            answer = form.one(found)
        else:
            answer = listed(self.store, form, request.query, namespace)
        response = _json(answer, 200)
        if resource.plural == "endpoints":
            response.headers["Warning"] = _ENDPOINTS_WARNING
        return response

    async def _write(
        self, request: web.Request, resource: Resource, target: Target
    ) -> web.StreamResponse:
        namespace = target.namespace if resource.namespaced else ""
        change = writing.Change(
            self.store, resource, namespace, target.name, target.subresource, request.query
        )
        if request.method == "DELETE":
            return _json(change.delete(), 200)
        sent = await writing.body(request, target.subresource)
        # Source: apiserver's managerOrUserAgent.
        agent = request.headers.get("User-Agent", "").partition("/")[0][:128]
        change.manager = request.query.get("fieldManager") or agent or change.manager
        handlers: dict[str, Callable[[], tuple[Obj, int]]] = {
            "POST": lambda: change.create(sent),
            "PUT": lambda: change.update(sent),
            "PATCH": lambda: change.patch(sent, request.headers.get("Content-Type", "")),
        }
        answer, code = handlers[request.method]()
        form = Form.of(request, resource)
        return _json(form.one(answer), code)

    async def _log(self, request: web.Request, target: Target) -> web.StreamResponse:
        pod = self.store.get("pods", target.namespace, target.name)
        if pod is None:
            raise not_found("pods", "", target.name)
        container = logs.container_of(pod, request.query.get("container", ""))
        log = self._logs.get((target.namespace, target.name, container))
        return await logs.answer(request, pod, log, lambda: self._watches.stopping)

    async def _proxy(self, request: web.Request, target: Target) -> web.StreamResponse:
        pods = target.plural == "pods"
        find = proxy.pod_destination if pods else proxy.service_destination
        to = find(self.store, target.namespace, target.name)
        if self._session is None:
            raise ApiError(503, "the server is shutting down")
        raw = request.rel_url.raw_path.split("/proxy", 1)[1]
        return await proxy.forward(self._session, request, to, raw)


def _json(answer: Obj, code: int) -> web.Response:
    return web.Response(status=code, body=encoded(answer), content_type="application/json")
