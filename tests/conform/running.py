"""Cases, load after load, on each Traefik."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.behaviour.real_traefik import binary
from tests.conform.compare import disagreements, told
from tests.conform.grammar import Case, Obj, case, settings
from tests.conform.predicted import Predicted
from tests.conform.real import Bench, Seen, flags
from tests.conform.smaller import renumbered, smallest
from tests.other_traefik import install

# The newest of 3.0, 3.3, 3.5 and 3.7 that the package index has. Of 2.11 it has none: such a
# program has to be named.
VERSIONS = ("3.0.4", "3.3.6", "3.5.3", "3.7.15")
INSTALLED = "3.7.15"  # the lab's own
_SETTINGS = ("scheme", "serversTransport", "nativeLB", "healthCheck")


@dataclass(frozen=True)
class Result:
    """One case on one version."""

    case: Case
    version: str
    args: list[str]
    disagreements: list[str]
    explained: bool  # docs/versions.md, "Predicted and real"

    def text(self, least: Case | None) -> str:
        """The disagreements, with the least objects that show one."""
        given = " ".join(self.args) or "no flags"
        lines = [f"== {self.version}, case {self.case.number} ({given})"]
        lines += [f"   wrong in it: {each}" for each in self.case.wrong]
        lines += [f"   {each}" for each in self.disagreements]
        return "\n".join([*lines, *map(json.dumps, least.objects if least else ())])


def binaries(versions: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The program of each version, installed where it has to be; and why there is none."""
    programs: dict[str, str] = {}
    lacking: dict[str, str] = {}
    for each in versions:
        version, _, path = each.partition("=")
        if path:
            programs[version] = path
        elif version == INSTALLED:
            programs[version] = binary()
        else:
            kept = Path(tempfile.gettempdir()) / f"hopcheck-traefik-{version}"
            found, why = install(version, kept)
            if found is None:
                lacking[version] = why
            else:
                programs[version] = str(found)
    return programs, lacking


def run(
    bench: Bench, seed: int, numbers: range, load: int, programs: Mapping[str, str]
) -> Iterator[Result]:
    """Each case on each version."""
    for start in range(numbers.start, numbers.stop, load):
        cases = [case(seed, number) for number in numbers if start <= number < start + load]
        with bench.loaded(cases):
            for version, program in programs.items():
                args = flags(settings(seed, start // load), version)
                for one, seen in zip(cases, bench.see(cases, version, program, args), strict=True):
                    yield judged(bench, one, seen, version, args)


def judged(bench: Bench, one: Case, seen: Seen, version: str, args: list[str]) -> Result:
    """The suite's predictions against what was seen."""
    predicted = Predicted(bench.here(one.objects), _whole(args), version, told(seen))
    found = disagreements(one, predicted, seen)
    native = any(each.endswith("nativelbbydefault") for each in args)
    return Result(one, version, args, found, shares_a_service(one.objects, native=native))


def least(bench: Bench, result: Result, program: str) -> Case:
    """The least of the case that is still disagreed on."""
    version, args = result.version, result.args

    def disagree(variants: Sequence[Case]) -> list[bool]:
        cases = [renumbered(one, 900_000 + at) for at, one in enumerate(variants)]
        with bench.loaded(cases):
            every = bench.see(cases, version, program, args)
        tried = zip(cases, every, strict=True)
        return [bool(judged(bench, one, seen, version, args).disagreements) for one, seen in tried]

    return smallest(result.case, disagree)


def shares_a_service(objects: Sequence[Obj], *, native: bool) -> bool:
    """Whether entries with other settings name one port of one Service.

    Where several services are weighted or mirrored, Traefik keeps them by namespace, name and port:
    the settings of the entry that was read last count for all. `native` are IngressRoutes' alone
    by default, not TraefikServices'.
    """
    settings: dict[tuple[str, str, str], str] = {}
    for obj in objects:
        space, spec = obj["metadata"]["namespace"], obj.get("spec") or {}
        lists = [route.get("services") or () for route in spec.get("routes") or ()]
        entries = [entry for each in lists if len(each) > 1 for entry in each]
        if obj["kind"] == "TraefikService":
            mirroring = spec.get("mirroring")
            entries += (spec.get("weighted") or {}).get("services") or ()
            entries += [mirroring, *mirroring["mirrors"]] if mirroring else ()
        for entry in entries:
            given = {key: entry[key] for key in _SETTINGS if key in entry}
            by_default = native and obj["kind"] != "TraefikService"
            own = json.dumps({"nativeLB": by_default, **given}, sort_keys=True)
            key = entry.get("namespace", space), entry["name"], str(entry.get("port"))
            if settings.setdefault(key, own) != own:
                return True
    return False


def _whole(args: list[str]) -> list[str]:
    """The arguments that decide on routes (RealTraefik has more)."""
    return [
        "--entrypoints.web.address=127.0.0.1:80",
        "--entrypoints.websecure.address=127.0.0.1:443",
        "--entrypoints.websecure.http.tls",
        "--entrypoints.other.address=127.0.0.1:8081",
        "--entrypoints.traefik.address=127.0.0.1:8080",
        "--api.insecure",
        "--providers.kubernetesingress",
        "--providers.kubernetescrd",
        *args,
    ]
