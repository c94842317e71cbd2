"""The rules that hold the house up (architecture), read from the code itself."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

import hopcheck
from hopcheck.engine.checklist import shipped_rules
from hopcheck.model import Snapshot, Step, aws, kubernetes, traefik
from hopcheck.model.read import Thing
from hopcheck.scene.scene import Scene
from hopcheck.steps import PARTIES
from hopcheck.steps.rule import Rule
from hopcheck.verdict.contradicted import Claim, Claimed
from tests.recorded import SNAPSHOTS, names, snapshot
from tests.steps.scenes import SCENES

PACKAGE = Path(hopcheck.__file__).parent


def modules(part: str = "") -> list[Path]:
    return sorted((PACKAGE / part).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


# The rooms, from the ground floor up: a room imports rooms above it in this list alone.
ROOMS = (
    "model", "catalogue", "config", "behaviour", "scene", "verdict", "steps", "collect", "report",
    "history", "engine", "schedule", "app", "pytest_plugin", "__main__",
)  # fmt: skip
# What decides: a Snapshot goes in, findings come out.
PURE = [
    *modules("steps"),
    *modules("behaviour"),
    *modules("scene"),
    *modules("verdict"),
    *modules("history/changes"),
]
# Modules that reach nothing outside the program. datetime, for what it computes from texts alone.
COMPUTE = {
    "__future__", "typing", "collections", "enum", "functools", "re", "json", "tomllib", "yaml",
    "ipaddress", "difflib", "fnmatch", "hashlib", "posixpath", "shlex", "datetime", "msgspec",
    "itertools", "math", "base64", "binascii", "string", "unicodedata", "re2",
}  # fmt: skip
# hopcheck's own: the pure ones, the vocabulary, the texts.
OWN = ("steps", "behaviour", "scene", "verdict", "history.changes", "model", "catalogue",
       "config.options", "config.target")  # fmt: skip
FORBIDDEN_NAMES = {
    "open", "input", "print", "exec", "eval", "compile", "__import__", "breakpoint", "globals",
}  # fmt: skip
FORBIDDEN_ATTRIBUTES = {
    "now", "utcnow", "today", "fromtimestamp", "read_text", "read_bytes", "write_text", "open",
    "write_bytes", "environ", "getenv", "urandom", "system", "popen", "urlopen", "sleep",
}  # fmt: skip


def allowed_import(path: Path, name: str) -> bool:
    first, _, rest = name.partition(".")
    if first == "hopcheck":
        return not rest or any(f"{rest}.".startswith(f"{own}.") for own in OWN)
    if first == "urllib":
        return name.startswith("urllib.parse")
    # The steps' modules are loaded when they are needed, by their own names.
    return first in COMPUTE or (of(path) == "steps/__init__.py" and first == "importlib")


@pytest.mark.parametrize("path", PURE, ids=of)
def test_what_judges_imports_nothing_that_reaches_out(path: Path) -> None:
    assert not [name for name in imports(path) if not allowed_import(path, name)]


@pytest.mark.parametrize("path", PURE, ids=of)
def test_what_judges_calls_nothing_that_reaches_out(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert not names & FORBIDDEN_NAMES
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert not attributes & FORBIDDEN_ATTRIBUTES


def test_the_house_notices_what_reaches_out(tmp_path: Path) -> None:
    """The tests above can fail."""
    bad = PACKAGE / "steps" / "dns" / "step.py"
    for name in ("os", "pathlib.Path", "importlib.resources", "random", "secrets", "time", "socket",
                 "urllib.request", "logging", "hopcheck.collect.web.probe", "boto3", "uuid",
                 "hopcheck.engine.replay", "hopcheck.engine.host", "importlib"):  # fmt: skip
        assert not allowed_import(bad, name), name


# Judges every recorded run twice; from the second time on, when modules are imported and texts
# read, whatever the interpreter reports of files, sockets, processes and imports is an offence.
AUDIT = """
import sys
from pathlib import Path
from hopcheck.report.evidence import load
from hopcheck.engine.replay import replay

watching, seen = False, []

def watch(event, arguments):
    if watching and event.partition(".")[0] in (
        "open", "os", "socket", "subprocess", "shutil", "tempfile", "import", "exec", "compile",
        "urllib", "glob", "pathlib", "ctypes", "time",
    ):
        seen.append((event, str(arguments)[:80]))

sys.addaudithook(watch)
snapshots = [load(path) for path in sorted(Path(sys.argv[1]).glob("*.gz"))]
for snapshot in snapshots:
    replay(snapshot)
watching = True
for snapshot in snapshots:
    replay(snapshot)
watching = False
print(len(snapshots), seen[:5])
"""


def test_judging_opens_nothing() -> None:
    out = subprocess.run(
        [sys.executable, "-c", AUDIT, str(SNAPSHOTS)], capture_output=True, text=True, check=True
    )
    count, _, seen = out.stdout.strip().partition(" ")
    assert int(count) > 30
    assert seen == "[]"


DIGEST = """
import sys, hashlib
from pathlib import Path
from hopcheck.report.evidence import load
from hopcheck.engine.replay import replay
from hopcheck.report.json import to_json
made = hashlib.sha256()
for path in sorted(Path(sys.argv[1]).glob("*.gz")):
    made.update(to_json(replay(load(path))))
print(made.hexdigest())
"""


def test_a_replay_does_not_depend_on_chance() -> None:
    """Sets are ordered anew in each process: nothing of that may show in a report."""
    found = {
        subprocess.run(
            [sys.executable, "-c", DIGEST, str(SNAPSHOTS)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(found) == 1


class Refusing:
    """Evidence that nobody may look at."""

    def __init__(self, party: str) -> None:
        object.__setattr__(self, "_party", party)

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"{object.__getattribute__(self, '_party')}.{name} was read")


class Watching:
    """Evidence that notes that it was looked at."""

    def __init__(self, real: object, party: str, noted: set[str]) -> None:
        self._real, self._party, self._noted = real, party, noted

    def __getattr__(self, name: str) -> object:
        self._noted.add(self._party)
        return getattr(self._real, name)


RULES = [(step, one) for step, rules in shipped_rules().items() for one in rules]


def recorded() -> Iterator[Snapshot]:
    """The recorded faults, without what is recorded of pairs and edits."""
    yield from (snapshot(name) for name in names() if "/" not in name)


@cache
def states() -> tuple[Snapshot, ...]:
    return (*recorded(), *(edited().snapshot() for _, _, edited in SCENES.values()))


def seen_by(rule: Rule, real: Snapshot, noted: set[str]) -> Snapshot:
    """What the rule may see of a state; which parties are looked at is added to `noted`."""
    evidence: dict[str, object] = {
        party: Watching(getattr(real, party), party, noted)
        if party in rule.reads | rule.uses
        else Refusing(party)
        for party in PARTIES
    }
    return msgspec.structs.replace(real, **evidence)


@cache
def beyond_what_they_declare() -> dict[str, str]:
    """The rules that read or need more than they declare, and in how far, in any state.

    Rules that declare the same look at one scene, so that a state is gone through once.
    """
    found = {}
    for real in states():
        whole = Scene(real)
        scenes: dict[frozenset[str], Scene] = {}
        for _, rule in RULES:
            declared = rule.reads | rule.uses
            if declared not in scenes:
                scenes[declared] = Scene(seen_by(rule, real, set()))
            try:
                if rule(scenes[declared]) != rule(whole):
                    found[rule.name] = "it finds something else without the rest"
            except AssertionError as error:
                found[rule.name] = str(error)
    return found


@pytest.mark.parametrize(("step", "rule"), RULES, ids=[one.name for _, one in RULES])
def test_a_rule_reads_what_it_declares_and_nothing_else(step: Step, rule: Rule) -> None:
    assert rule.name not in beyond_what_they_declare(), beyond_what_they_declare()[rule.name]
    noted: set[str] = set()
    for real in states():
        rule(Scene(seen_by(rule, real, noted)))
        if rule.reads <= noted:
            break
    assert rule.reads <= noted


def modules_of_checks() -> dict[Step, ModuleType]:
    made = {}
    for step in Step:
        name = f"test_{step.number}_{step.value.replace('-', '_')}"
        spec = spec_from_file_location(name, PACKAGE.parent / "checks" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        made[step] = module_from_spec(spec)
        spec.loader.exec_module(made[step])
    return made


def test_every_rule_stands_in_the_check_file_of_its_step_once() -> None:
    for step, module in modules_of_checks().items():
        folder = f"hopcheck.steps.{step.value.replace('-', '_')}"
        made = {
            id(found): found
            for name in MODULES
            if name.startswith(f"{folder}.")
            for found in vars(import_module(name)).values()
            if isinstance(found, Rule)
        }
        assert [id(rule) for rule in module.RULES] == list(
            dict.fromkeys(id(rule) for rule in module.RULES)
        )
        assert {rule.name for rule in module.RULES} == {rule.name for rule in made.values()}
        names = [name for name in vars(module) if name.startswith("test_")]
        assert names == [f"test_{step.value.replace('-', '_')}"]


def test_every_run_walks_the_list_of_the_check_files() -> None:
    listed = {step: module.RULES for step, module in modules_of_checks().items()}
    assert shipped_rules() == listed


def test_every_rule_says_what_holds_when_all_is_well() -> None:
    for step, rule in RULES:
        assert rule.sentence, (step, rule.name)
        assert rule.reads, (step, rule.name)
        assert rule.reads | rule.uses <= set(PARTIES)
    sentences = [rule.sentence for _, rule in RULES]
    assert len(set(sentences)) == len(sentences)


# Who may look at how the requests went. All else is a claim (hopcheck/verdict/contradicted.py):
# `claims=` of the rule. A new line here needs a reason why it cannot be one.
REQUESTS_LOOKED_AT = {
    # which route, Service or group is spoken of, where what is declared leaves it open
    "steps/ingress/standing.py guessed": "a guess between routes that could be the one that serves",
    "steps/ingress/standing.py _route": "what serves is none of the routes in sight",
    "steps/ingress/unserved.py no_redirect_leads_past_the_route": "which the redirect lost",
    "steps/ingress/annotations.py _suffered": "which failure an annotation would explain",
    "steps/endpoints/judged.py of_interest": "a Service of weight 0 counts where nothing works",
    "steps/endpoints/judged.py empties": "a success shows that the route stands",
    "steps/endpoints/judged.py judged": "what serves is another route's Service",
    "steps/target_health/groups.py is_strange": "whose targets the rules of the group speak of",
    # what was seen of a step: a success proves it, and is no claim of anything wrong
    "steps/ingress/step.py sight": "an answer proves that the route is loaded",
    "steps/endpoints/step.py _without_route": "the entryPoint itself is seen to answer",
    "steps/endpoints/judged.py serves_outside": "the host outside is seen to answer",
    "steps/loaded.py loaded": "with one replica a routed answer is its own",
    # the requests themselves, held against the same request at another hop or address
    "steps/endpoints/answers.py _reached": "Traefik reaches pods that do not answer from here",
    "scene/probes.py doors_of": "whose ports the API server is asked about",
    "steps/bounds.py works": "which probes got a good answer",
    "steps/bounds.py between_balancer_and_nodes": "requests that fail while nodes answer",
    "steps/bounds.py between_nodes_and_pods": "which nodes' silence counts where requests pass",
    "steps/middlewares.py _bad_answer": "the answer that Middlewares are asked about",
    "steps/target_health/health.py _failing": "which addresses of the load balancer fail",
    "steps/target_health/targets.py targets_of_others_serve_the_host": "their answer beside ours",
    "steps/dns/records.py serving_addresses": "which addresses serve",
    "steps/request/answers.py every_address_gives_the_expected_answer": "the requests",
    "steps/request/answers.py traefik_fails_at_no_hop": "a hop that fails where requests pass",
    "steps/request/application.py pods_serve_when_asked_directly": "a Service that none met",
    "steps/request/answers.py the_asked_scheme_is_the_one_that_serves": "the requests",
}


def looks_at_the_requests() -> Iterator[str]:
    """Each function of the steps and the scene that asks whether requests succeeded."""
    for path in (*modules("steps"), *modules("scene")):
        if of(path) == "scene/outcome.py":
            continue
        for function in ast.parse(path.read_text("utf-8")).body:
            names = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
            if names & {"outcome_of", "outcomes", "succeeded"}:
                yield f"{of(path)} {getattr(function, 'name', '')}"


def test_one_place_holds_claims_against_what_the_requests_showed() -> None:
    assert set(looks_at_the_requests()) == REQUESTS_LOOKED_AT.keys()
    users = {name for name in MODULES if "upheld(" in MODULES[name].read_text("utf-8")}
    assert users == {"hopcheck.steps.rule", "hopcheck.verdict.contradicted"}


def test_a_finding_claims_for_itself_where_its_rule_claims_nothing() -> None:
    claiming = set()
    for scene in map(Scene, recorded()):
        for _, rule in RULES:
            if any(isinstance(one, Claimed) for one in rule.look(scene)):
                claiming.add(rule.name)
                assert rule.claims is Claim.STOPS_NOTHING_NOW, rule.name
    assert claiming


def test_only_collectors_import_the_parties_clients() -> None:
    clients = {"botocore", "boto3", "kubernetes", "dns", "httpx", "h11"}
    for path in modules():
        if of(path).split("/")[0] in ("collect", "lab"):
            continue
        if (
            of(path) == "schedule/outlets/destination.py"
        ):  # writes reports to S3 (docs/adr/0003-outlets.md)
            continue
        assert not {n for n in imports(path) if n.split(".")[0] in clients}, of(path)


def test_the_package_never_imports_the_lab() -> None:
    for path in modules():
        if not of(path).startswith("lab/"):
            assert not [name for name in imports(path) if name.startswith("hopcheck.lab")], of(path)


def test_the_lab_never_imports_what_judges() -> None:
    forbidden = (
        "hopcheck.steps",
        "hopcheck.verdict.cause",
        "hopcheck.verdict.assess",
        "hopcheck.collect",
    )
    for path in modules("lab"):
        assert not [name for name in imports(path) if name.startswith(forbidden)], of(path)


MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in modules()
}
OUTSIDE_THE_LAB = [name for name in MODULES if not name.startswith("hopcheck.lab")]


def arrows(name: str) -> set[str]:
    """The modules of hopcheck that a module imports."""
    found = set()
    for target in imports(MODULES[name]):
        while target not in MODULES and "." in target:
            target = target.rpartition(".")[0]
        found.add(target)
    return {target for target in found if target in MODULES} - {name, "hopcheck"}


def room(name: str) -> str:
    return name.split(".")[1]


def test_there_are_no_loose_files_at_the_top() -> None:
    files = {path.name for path in PACKAGE.iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "py.typed"}
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__", "lab"}
    assert folders == {*ROOMS, "findings"} - {"__main__"}
    # All of a finding in its files, and no code beside them.
    assert {path.suffix for path in (PACKAGE / "findings").iterdir()} == {".md"}


@pytest.mark.parametrize("name", [m for m in OUTSIDE_THE_LAB if m != "hopcheck"])
def test_no_room_imports_from_a_higher_floor(name: str) -> None:
    floor = ROOMS.index(room(name))
    assert not [target for target in arrows(name) if ROOMS.index(room(target)) > floor]


def test_no_imports_run_in_a_circle() -> None:
    waiting = {name: arrows(name) for name in OUTSIDE_THE_LAB}
    while waiting:
        free = [name for name, needs in waiting.items() if not needs & waiting.keys()]
        assert free, f"a circle among {sorted(waiting)}"
        for name in free:
            del waiting[name]


def test_no_step_imports_a_step() -> None:
    folders = {step.value.replace("-", "_") for step in Step}
    for name in MODULES:
        _, first, own, *_ = (*name.split("."), "", "")
        if first == "steps" and own in folders:
            others = {
                target.split(".")[2]
                for target in arrows(name)
                if room(target) == "steps" and target.count(".") > 1
            }
            assert not others & folders - {own}, name


def test_the_command_line_starts_light() -> None:
    heavy = ["botocore", "kubernetes", "dns", "httpx", "h11", "rich", "jinja2", "cryptography",
             "pytest", "yaml", "aiohttp"]  # fmt: skip
    code = f"import sys, hopcheck.app.cli; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


TYPED = [path for part in ("steps", "scene", "behaviour") for path in modules(part)]
API_NAMES = {
    field.encode_name
    for module in (aws, kubernetes, traefik)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Thing)
    for field in msgspec.structs.fields(kind)
}
# A log line's fields, report data and the groups of a pattern are no objects of an API.
NO_OBJECTS = "fields|facts|words|found|match|Literal"
READ_BY_NAME = re.compile(rf'(?:\b(?!(?:{NO_OBJECTS})\b)\w+|\))(?:\.get\(|\[)"(\w+)"')
UNTYPED = re.compile(r"\bObj\b|\bdict\[str, Any\]|\.get\([^()]*\)+ or (\{\}|\(\)|\[\])")


@pytest.mark.parametrize("path", TYPED, ids=of)
def test_objects_are_read_by_their_types(path: Path) -> None:
    source = path.read_text("utf-8")
    assert not API_NAMES.intersection(READ_BY_NAME.findall(source))
    assert not UNTYPED.search(source)
