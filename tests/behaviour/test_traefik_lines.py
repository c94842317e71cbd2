"""Every error and warning of Traefik that bears an object, attributed to exactly that object.

traefik_lines.json: `lines` from the source of v2.11, v3.0, v3.3, v3.5 and v3.7 (`via` log, api, or
client-go's klog on the same stream) with the object that each is `about` and `by` what it tells;
`real`: the versions whose binary wrote this very line on the objects of traefik_faults.py (else it
is composed of the source's format); `known`: whether the code before knew it. `reasons`: what the
`error` of such a line may say.
"""

import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from hopcheck.behaviour.traefik.logs import parse_line
from hopcheck.behaviour.traefik.subjects import Subject, loaded, owners, subject
from hopcheck.model import ObjectRef
from tests.behaviour.real_traefik import binary
from tests.behaviour.traefik_faults import CLUSTER, cluster, record, scenes
from tests.other_traefik import other_binary

TABLE: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "traefik_lines.json").read_text("utf-8")
)
LINES, REASONS = TABLE["lines"], TABLE["reasons"]
VERSIONS = {"2.11", "3.0", "3.3", "3.5", "3.7"}
OBJECTS = tuple(
    dict.fromkeys(
        ObjectRef(obj["kind"], obj["metadata"]["name"], obj["metadata"].get("namespace"))
        for objects in CLUSTER.values()
        for obj in objects
    )
)
BUILT = {"routers": "Router", "services": "Service", "middlewares": "Middleware"}


def about(found: Subject | None) -> str:
    """The objects that there are of the subject; its own words where there is none."""
    if found is None:
        return ""
    refs = sorted(str(ref) for ref in owners(found, OBJECTS, ("web", "websecure", "other")))
    own = f"{found.kind} {found.name}"
    return ", ".join(refs) or own


def of_api(shown: dict[str, Any], kind: str) -> Subject:
    entry_points = shown.get("using") or shown.get("entryPoints") or [""]
    return loaded(BUILT[kind.partition("/")[2]], shown["name"], entry_points[0])


@pytest.mark.parametrize("row", LINES, ids=lambda row: row["id"])
def test_each_line_is_about_exactly_its_object(row: dict[str, Any]) -> None:
    if row["via"] == "api":
        shown = json.loads(row["json"])
        assert about(of_api(shown, shown["kind"])) == row["about"]
        return
    for form in ("json", "common"):
        line = parse_line(row[form])
        assert line.kind == ("klog" if row["via"] == "klog" else "traefik")
        assert line.level == row["level"]
        assert about(subject(line)) == row["about"], row[form]


def test_the_table_is_of_every_version_and_each_row_of_its_own() -> None:
    assert {version for row in LINES for version in row["versions"]} == VERSIONS
    assert len({row["id"] for row in LINES}) == len(LINES)
    assert all(set(row["real"]) <= set(row["versions"]) for row in LINES)
    assert [row["id"] for row in LINES if not row["about"] or not row["by"]] == []


@pytest.mark.parametrize("version", sorted({v for row in REASONS for v in row["versions"]}))
def test_what_an_error_says_does_not_move_it_to_another_object(version: str) -> None:
    """The reason names other objects; the line is about the router, the Ingress, the Middleware."""
    bearers = {
        "Ingress one/no-port": {"ingress": "no-port", "namespace": "one",
                                "providerName": "kubernetes"},
        "Middleware one/basic": {"middlewareName": "one-basic", "providerName": "kubernetescrd"},
        "IngressRoute one/r-port": {
            "routerName": "websecure-one-r-port-0123456789abcdef0123@kubernetescrd",
            "entryPointName": "websecure"},
    }  # fmt: skip
    for row in REASONS:
        if version not in row["versions"]:
            continue
        # The names in it are those of an object that there is.
        said = row["message"].replace("%s/%s", "one/app").replace("%q", '"one-app@kubernetescrd"')
        for expected, fields in bearers.items():
            text = {"level": "error", **fields}
            if version == "2.11":
                text["msg"] = said
            else:
                text["error"] = said
            assert about(subject(parse_line(json.dumps(text)))) == expected, row


@pytest.mark.parametrize(
    ("router", "entry_points", "expected"),
    [
        ("one-app-app-example@kubernetes", (), "Ingress one/app"),
        ("websecure-one-app-app-example@kubernetes", (), "Ingress one/app"),
        ("one-app-two-app-example@kubernetes", (), "Ingress one/app-two"),
        ("public-one-app-x@kubernetes", ("public",), "Ingress one/app"),
        ("public-one-app-x@kubernetes", ("web",), ""),
        ("in-ternal-in-ternal-one-app@kubernetes", ("in-ternal",), "Ingress one/app"),
        ("websecure-x-y@kubernetes", (), "Ingress websecure/x"),
        ("one-app-0123456789abcdef0123@kubernetescrd", (), "IngressRoute one/app"),
        # Of an IngressRoute app-gone that is no longer there.
        ("one-app-gone-0123456789abcdef0123@kubernetescrd", (), ""),
        ("one_app_0@kubernetescrd", (), "IngressRoute one/app"),
        ("web-one_app_0@kubernetescrd", (), "IngressRoute one/app"),
        ("one_app-gone_0@kubernetescrd", (), ""),
        ("one-mail-domain-mail@kubernetes", (), "Ingress one/mail.domain"),
        ("httproute-one-app-gw-one-front-ep-web-0-0123@kubernetesgateway", (), "HTTPRoute one/app"),
        ("one-app@file", (), ""),
    ],
)
def test_router_ids(router: str, entry_points: tuple[str, ...], expected: str) -> None:
    there = [
        *(ObjectRef("Ingress", name, "one") for name in ("app", "app-two", "mail.domain")),
        ObjectRef("Ingress", "x", "websecure"),
        ObjectRef("IngressRoute", "app", "one"),
        ObjectRef("HTTPRoute", "app", "one"),
    ]
    for objects in (there, there[::-1]):
        found = owners(loaded("Router", router), objects, entry_points)
        assert ", ".join(map(str, found)) == expected


def test_a_request_is_about_nothing() -> None:
    asked = {"RouterName": "one-app@kubernetes", "DownstreamStatus": 502, "level": "info"}
    assert subject(parse_line(json.dumps(asked))) is None


def _formats(version: str) -> list[tuple[str, re.Pattern[str]]]:
    """Level and message of every line that this version has, as an expression."""
    parts = re.compile(r"(%(?:\[\d+\])?[+#]*[a-zA-Z]|\{[^}]*\})")
    return [
        (
            row["level"],
            re.compile(
                "".join(
                    "(?s:.*)" if number % 2 else re.escape(text)
                    for number, text in enumerate(parts.split(row["message"]))
                )
            ),
        )
        for row in LINES
        if version in row["versions"] and row["via"] == "log"
    ]


def _strangers(log: str, version: str) -> Iterable[str]:
    """Lines that bear something and are not in the table, or that no single object answers for."""
    formats = _formats(version)
    for line in map(parse_line, filter(None, log.splitlines())):
        found = subject(line)
        if line.kind != "traefik" or line.level not in ("warn", "error") or found is None:
            continue
        if not any(
            level == line.level and pattern.fullmatch(line.message) for level, pattern in formats
        ):
            yield f"not in the table: {line.raw}"
        several = found.kind in ("TLSStore", "TLSOption")  # "default" is one's of each namespace
        if "," in about(found) and not several:
            yield f"of several objects: {line.raw}"


@pytest.mark.more
@pytest.mark.timeout(300)
@pytest.mark.parametrize("which", ["installed", "other"])
def test_the_real_traefik_writes_these_lines(
    which: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Each line of the real binary is in the table, and what the table calls real is written."""
    path = binary() if which == "installed" else str(other_binary(pytestconfig))
    shown = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
    full = next(line.split()[1] for line in shown.splitlines() if line.startswith("Version:"))
    version = ".".join(full.split(".")[:2])
    if version not in VERSIONS:
        pytest.skip(f"{full}: the table has no lines of it")
    number = tuple(map(int, version.split(".")))
    written, strangers = set(), []
    for scene in scenes(number):
        work = tmp_path / scene
        work.mkdir()
        with cluster(work, scene, number) as serving:
            recording = record(path, number, scene, serving, work)
        strangers += _strangers(recording.log, version)
        written |= {about(subject(parse_line(line))) for line in recording.log.splitlines()}
        for kind, found in recording.api.items():
            written |= {about(of_api(one, kind)) for one in found}
    assert strangers == []
    # Which namespace's "default" is named depends on the moment.
    objects = {str(ref) for ref in OBJECTS if ref.name != "default"}
    wanted = {row["about"] for row in LINES if version in row["real"]} & objects
    assert wanted - written == set()
