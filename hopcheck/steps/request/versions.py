"""A host that works by one version of HTTP and not by the other."""

from __future__ import annotations

from hopcheck.catalogue.catalogue import text
from hopcheck.model import ErrorKind, Exchange, Finding, Probe, Severity
from hopcheck.scene.http_versions import first_works, only_version
from hopcheck.scene.outcome import requests_made
from hopcheck.scene.scene import Scene
from hopcheck.steps.request.application import USES, of_host, proof_of, share_of
from hopcheck.steps.rule import rule


@rule(reads=("dns", "http"), uses=USES)
def either_version_of_http_serves(scene: Scene) -> list[Finding]:
    """The host answers by HTTP/2 as by HTTP/1.1, where it offers both."""
    total = len(requests_made(scene.snapshot))
    groups: dict[str | None, list[Probe]] = {}
    for one in scene.snapshot.http.versions:
        if one.seen and one.get().exchanges:
            groups.setdefault(one.get().address, []).append(one.get())
    failing: dict[str, list[tuple[Probe, Probe]]] = {}
    for probes in groups.values():
        version = only_version(probes)
        if version is not None:
            good, bad = probes[:2] if first_works(probes) else probes[1::-1]
            failing.setdefault(version, []).append((good, bad))
    return [_finding(scene, version, pairs, total) for version, pairs in failing.items()]


def _finding(scene: Scene, version: str, pairs: list[tuple[Probe, Probe]], total: int) -> Finding:
    good, bad = pairs[0]
    last = bad.exchanges[-1]
    http2_alone = version == "HTTP/2"
    return of_host(
        "REQ017",
        scene,
        variant="http2" if http2_alone else None,
        severity=Severity.WARNING if http2_alone and _refused(last) else None,
        address=bad.address,
        port=last.port,
        url=last.url,
        error=str(last.status or last.error_text or text("error", str(last.error))),
        # HTTP/1.1 is asked at one address alone while HTTP/2 works.
        share=None if http2_alone else share_of(len(pairs), total),
        evidence=(*proof_of(bad), *proof_of(good)),
    )


def _refused(last: Exchange) -> bool:
    """Whether HTTP/1.1 is refused in so many words, as where it is not wanted."""
    return last.error is ErrorKind.TLS_ALERT or last.status is not None
