"""The project's own tests speak English, whatever the developer's locale; none leaks a language."""

from collections import Counter
from collections.abc import Iterator

import pytest

from hopcheck.catalogue import language
from hopcheck.lab.diagnosis import Diagnoser
from hopcheck.lab.running import RunningLab

# Tests that try each recording of the gallery, or fault after fault on the lab: `make test` takes
# every n-th case, `make test-all` and CI each one.
SAMPLED = {
    "catalogue/test_korean.py::test_programs_read_the_same": 4,
    "catalogue/test_korean.py::test_prose_is_korean": 4,
    "catalogue/test_korean.py::test_renderings_are_korean": 8,
    "engine/test_replay.py::test_what_was_written_replays_to_the_same": 4,
    "lab/test_demo.py::test_one_fault_of_each_step": 3,
    "lab/test_field.py::test_each_can_be_made_and_mended": 6,
    "lab/test_lab.py::test_a_fault_breaks_what_it_says_and_heals": 3,
    "lab/test_setups.py::test_no_false_alarm": 3,
    "report/test_browser.py::test_axe_finds_nothing": 3,
    "report/test_browser.py::test_object_cause_and_fix_on_the_first_screen": 8,
    "steps/test_blindness.py::test_a_denied_list_accuses_nobody_else": 4,
    "steps/test_blindness.py::test_without_aws": 4,
    "steps/test_blindness.py::test_without_the_cluster": 5,
    "steps/test_gallery.py::test_consequences_lead_to_the_root_cause": 4,
    "steps/test_setups.py::test_with_lists_denied": 4,
    "steps/test_setups.py::test_without_the_cluster_or_aws": 3,
    "steps/test_unknown_version.py::test_recorded_faults_are_the_same_for_all_versions": 4,
}
# The files that take longest, those first.
LONGEST = (
    "steps/test_blindness.py",
    "lab/test_setups.py",
    "lab/test_field.py",
    "schedule/outlets/test_commands.py",
    "schedule/test_run.py",
    "day/test_day.py",
    "catalogue/test_korean.py",
    "mutation/test_mutation.py",
    "app/test_cli.py",
    "lab/test_demo.py",
    "lab/test_lab.py",
    "lab/test_same_answer.py",
    "collect/test_kubernetes.py",
    "app/test_watch.py",
)


@pytest.fixture(scope="session", autouse=True)
def a_locale_without_a_language() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for name in ("LC_ALL", "LC_MESSAGES"):
            patched.delenv(name, raising=False)
        patched.setenv("LANG", "C.UTF-8")
        yield


@pytest.fixture(scope="module")
def diagnoser(lab: RunningLab) -> Iterator[Diagnoser]:
    """The command on the module's lab, in a process that stays: it starts once."""
    one = Diagnoser(lab.lab)
    yield one
    lab.run(one.__aexit__(None, None, None))


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    language.use("en", asked=False)
    yield
    language.use("en", asked=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test` leaves to `make test-all`, and let the longest files begin.

    A file stays with one worker; one that takes a minute and comes last leaves the other idle.
    """
    seen: Counter[str] = Counter()
    for item in items:
        function = item.nodeid.partition("[")[0].removeprefix("tests/")
        one_in = SAMPLED.get(function, 1)
        if seen[function] % one_in:
            item.add_marker("more")
        seen[function] += 1
    rank = {file: number for number, file in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(_file(item), len(rank)))


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0].removeprefix("tests/")
