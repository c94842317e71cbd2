"""The field's own clients, made from the run's options, for checks of one's own.

Each is made when it is asked for; none of them sends anything before it is used.
"""

from __future__ import annotations

import os
from typing import Any

import boto3
import dns.exception
import dns.inet
import dns.nameserver
import dns.resolver
import httpx
import kubernetes

from hopcheck.collect.ask import within
from hopcheck.collect.web.tls import trusting
from hopcheck.config.options import Options, split_resolver

Aws = boto3.Session
Http = httpx.Client
Kube = kubernetes.client.ApiClient
Resolver = dns.resolver.Resolver


def kube(options: Options) -> Any:
    """The official client's ApiClient for the run's kubeconfig and context, or for the pod's.

    Raises TimeoutError where that takes longer than a call may (a plugin that waits for somebody),
    kubernetes.config.ConfigException where there is nothing to go by.
    """
    configuration = kubernetes.client.Configuration()

    def load() -> None:
        try:
            kubernetes.config.load_kube_config(
                options.kubeconfig, options.context, configuration, persist_config=False
            )
        except kubernetes.config.ConfigException:
            if options.kubeconfig or "KUBERNETES_SERVICE_HOST" not in os.environ:
                raise
            kubernetes.config.load_incluster_config(configuration)

    try:
        within(options.timeout, load)
    except TimeoutError:
        raise TimeoutError(f"no credentials within {options.timeout:g} s") from None
    return kubernetes.client.ApiClient(configuration)


def aws(options: Options) -> Aws:
    """A session of boto3's chain for the run's profile and region."""
    return boto3.Session(
        profile_name=options.aws_profile,
        region_name=options.aws_region or os.environ.get("AWS_REGION"),
    )


def resolver(options: Options) -> Resolver:
    """A resolver that asks whom the run asks, each for the time of one call."""
    made = dns.resolver.Resolver(configure=not options.resolvers)
    if options.resolvers:
        servers = map(split_resolver, options.resolvers)
        made.nameservers = [dns.nameserver.Do53Nameserver(*server) for server in servers]
    made.timeout = options.timeout
    made.lifetime = options.timeout * max(1, len(made.nameservers))
    return made


def http(options: Options) -> Http:
    """A client that goes where the run goes: its resolvers, --connect-to, --ca-file, no proxy."""
    transport = _WhereTheRunGoes(options)
    return httpx.Client(transport=transport, timeout=options.timeout, trust_env=False)


class _WhereTheRunGoes(httpx.HTTPTransport):
    """Connects to the address that the run would take, under the name that was asked."""

    def __init__(self, options: Options) -> None:
        super().__init__(verify=trusting(options.ca_file), trust_env=False)
        self._options = options

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        port = url.port or (443 if url.scheme == "https" else 80)
        address, to_port = self._options.connection(url.host, url.host, port)
        if address == url.host:  # else it is led elsewhere by its name: nobody is asked for it
            address, to_port = self._options.connection(url.host, self._address(address), port)
        return super().handle_request(
            httpx.Request(
                request.method,
                url.copy_with(host=address, port=to_port),
                headers=request.headers,  # Host is in them
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.host},
            )
        )

    def _address(self, host: str) -> str:
        """By the resolvers that were named; else by the system, when it connects."""
        if not self._options.resolvers or dns.inet.is_address(host):
            return host
        try:
            return next(resolver(self._options).resolve_name(host).addresses())
        except (dns.exception.DNSException, StopIteration) as error:
            raise httpx.ConnectError(f"{host}: {error}") from error
