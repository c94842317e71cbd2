"""report.html and index.html as text."""

import re
from html.parser import HTMLParser
from typing import Literal

import msgspec
import pytest

from hopcheck.model import Evidence, Hop, PathHop, PathMember, Report, Step
from hopcheck.report.html import render_index, to_html
from hopcheck.report.since import since_words
from hopcheck.report.store import IndexRow
from tests.report.examples import BROKEN, EXAMPLES, HOSTILE, SELECTOR, hostile

ALL = {**EXAMPLES, "hostile": hostile()}


class Tags(HTMLParser):
    """Collects start tags and what is to be read."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.words = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("style", "script"):
            return
        self.text += data
        self.words = f"{self.words} {data.strip()}" if data.strip() else self.words

    def handle_endtag(self, tag: str) -> None:
        if tag in ("style", "script"):
            self.tags.append((f"/{tag}", {}))


@pytest.mark.parametrize("report", ALL.values(), ids=ALL)
def test_self_contained_and_strict(report: Report) -> None:
    page = to_html(report)
    tags = Tags(page).tags
    names = [tag for tag, _ in tags]
    assert names.count("script") == 1
    assert names.count("style") == 1
    assert not {"img", "iframe", "link", "object", "embed", "base", "form"} & set(names)
    for tag, attributes in tags:
        assert not any(name.startswith("on") or name in ("style", "src") for name in attributes)
        link = attributes.get("href")
        outside = link is not None and not link.startswith("#")
        assert not outside or (tag == "a" and link.startswith("https://hopcheck.example/"))
    policy = next(a["content"] for t, a in tags if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert re.fullmatch(
        "default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; "
        "base-uri 'none'; form-action 'none'",
        policy,
    )
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert len(page) < 300_000


def test_every_finding_has_its_anchor_and_links_lead_somewhere() -> None:
    tags = Tags(to_html(BROKEN)).tags
    ids = {attributes.get("id") for _, attributes in tags}
    assert {"END001", "LOG001", "REQ002"} <= ids
    links = {a["href"] for t, a in tags if t == "a" and str(a.get("href")).startswith("#")}
    assert {str(link)[1:] for link in links} <= ids


def test_two_findings_of_one_code_have_two_anchors() -> None:
    second = msgspec.structs.replace(SELECTOR, id="END001-2")
    step = msgspec.structs.replace(BROKEN.steps[4], findings=(SELECTOR, second))
    report = msgspec.structs.replace(BROKEN, steps=(*BROKEN.steps[:4], step, *BROKEN.steps[5:]))
    ids = {attributes.get("id") for _, attributes in Tags(to_html(report)).tags}
    assert {"END001", "END001-2"} <= ids


def test_no_hostile_character_is_left() -> None:
    page = to_html(hostile()).decode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", page)
    assert "{{7*7}}" in Tags(page.encode()).text
    assert not re.search(
        r"<li><code>(?:(?!</code>)[^\n])*\n", page
    )  # a command never breaks its line


def test_a_page_of_everything_stays_below_300_kb() -> None:
    long = HOSTILE * 200
    proof = tuple(Evidence(long, long) for _ in range(50))
    finding = msgspec.structs.replace(SELECTOR, evidence=proof, commands=(long,) * 20)
    facts = {f"fact {n}": [{str(k): HOSTILE for k in range(9)}] * 60 for n in range(30)}
    steps = tuple(
        msgspec.structs.replace(
            step,
            findings=tuple(msgspec.structs.replace(finding, id=f"END001-{n}") for n in range(30)),
            facts=facts,
        )
        for step in BROKEN.steps
    )
    members = tuple(PathMember(f"10.0.{n // 256}.{n % 256}:30001", "ok") for n in range(5000))
    hops = (PathHop(Hop.NODE, "5000 nodes", "ok", "", members),)
    report = msgspec.structs.replace(
        BROKEN, path=hops, steps=steps, changes=BROKEN.changes * 100, root_causes=(finding,) * 30
    )
    page = to_html(report)
    assert len(page) < 300_000
    assert "5000 of 5000 ok" in page.decode()
    assert re.search("and [0-9]+ more: shortened here, whole in report.json", page.decode())
    assert [step.value for step in Step] == [
        a["id"] for t, a in Tags(page).tags if t == "details" and "id" in a
    ]


def test_facts_of_the_path_are_not_shown_twice() -> None:
    facts = {"dns.label": "LABEL", "dns.members": [{"name": "a", "state": "ok"}], "seen": "yes"}
    step = msgspec.structs.replace(BROKEN.steps[0], facts=facts)
    report = msgspec.structs.replace(BROKEN, steps=(step, *BROKEN.steps[1:]))
    assert "dns.label" not in to_html(report).decode()
    assert '<th scope="row">seen</th>' in to_html(report).decode()


@pytest.mark.parametrize(
    ("timings", "texts"),
    [
        ({"total": 0.1, "connect": 0.02, "dns": None}, ["connect 20 ms", "rest 80 ms"]),
        ({"a": {"tls": 0.5, "total": 0.5}}, ["a 500 ms", "TLS 500 ms"]),
        ([{"address": "1.2.3.4", "first_byte": 0.25, "total": 0.2}], ["1.2.3.4 250 ms"]),
    ],
)
def test_timings_as_a_waterfall(timings: object, texts: list[str]) -> None:
    step = msgspec.structs.replace(BROKEN.steps[6], facts={"timings": timings})
    page = Tags(to_html(msgspec.structs.replace(BROKEN, steps=(*BROKEN.steps[:6], step))))
    for text in texts:
        assert text in page.words


@pytest.mark.parametrize("timings", [None, [], "x", [None, 3], {"total": "x"}, [{"total": -1}]])
def test_odd_timings_break_nothing(timings: object) -> None:
    step = msgspec.structs.replace(BROKEN.steps[6], facts={"timings": timings})
    page = to_html(msgspec.structs.replace(BROKEN, steps=(*BROKEN.steps[:6], step))).decode()
    assert '<rect class="p-' not in page


def test_the_index_links_each_host() -> None:
    row = IndexRow("a.example.com", "https://a.example.com/", "broken", "H <b>", "T", "a/latest/x")
    page = render_index([row])
    assert ("a", {"href": "a/latest/x"}) in Tags(page).tags
    assert "H <b>" in Tags(page).text


def test_the_worst_host_comes_first() -> None:
    rows = [
        IndexRow(f"{verdict}.example.com", "", verdict, "", "", "x")
        for verdict in ("healthy", "odd", "degraded", "broken")
    ]
    hosts = re.findall(r">(\w+)\.example\.com<", render_index(rows).decode())
    assert hosts == ["broken", "degraded", "odd", "healthy"]


def test_matching_lines_of_a_log_are_marked() -> None:
    proof = Evidence("log of traefik-1", "before\nthe <error>\nafter", (1,))
    finding = msgspec.structs.replace(SELECTOR, evidence=(proof,))
    page = to_html(msgspec.structs.replace(BROKEN, root_causes=(finding,))).decode()
    assert "before\n<mark>the &lt;error&gt;</mark>\nafter\n" in page
    assert proof.said == "the <error>"


def test_a_consequence_names_its_cause_and_no_fix_of_its_own() -> None:
    answer = msgspec.structs.replace(BROKEN.steps[6].findings[0], fix="Do nothing of the kind.")
    step = msgspec.structs.replace(BROKEN.steps[6], findings=(answer,))
    page = Tags(to_html(msgspec.structs.replace(BROKEN, steps=(*BROKEN.steps[:6], step))))
    assert "follows from END001" in page.words
    assert "Do nothing of the kind." not in page.words


def test_a_cause_stands_once_and_its_step_leads_to_it() -> None:
    page = Tags(to_html(BROKEN))
    assert page.words.count(SELECTOR.fix) == 1
    assert "END001 The Service selects no pod is the root cause above" in page.words


def test_a_command_of_a_fix_is_marked_and_whole_or_not_there() -> None:
    line = "kubectl -n default patch services a --type=json -p '[]' --dry-run=server"
    cause = msgspec.structs.replace(SELECTOR, fix_commands=(line, f"aws {'b' * 3_000} --dry-run"))
    page = to_html(msgspec.structs.replace(BROKEN, root_causes=(cause,))).decode()
    assert page.count("Changes something; as it stands a dry run, without") == 1
    assert page.count('<ul class="commands changes">') == 1
    assert "bbb" not in page


def test_what_changed_since_when() -> None:
    page = Tags(to_html(BROKEN))
    assert "What changed since the last healthy run" in page.words
    assert f"Since {since_words(BROKEN)}" in page.words
    for change in BROKEN.changes:
        assert change.object.name in page.words
        if change.field != "exists":
            assert change.field in page.words
    assert "What changed" not in Tags(to_html(EXAMPLES["degraded"])).words


def test_days_left_of_a_certificate() -> None:
    facts = {
        "certificate": {"not_before": "2026-01-01T00:00:00Z", "not_after": "2026-03-01T00:00:00Z"}
    }
    step = msgspec.structs.replace(BROKEN.steps[6], facts=facts)
    page = Tags(to_html(msgspec.structs.replace(BROKEN, steps=(*BROKEN.steps[:6], step))))
    assert "3 days left" in page.words


def test_what_was_not_seen_is_grouped_by_its_reason() -> None:
    page = Tags(to_html(EXAMPLES["unknown"]))
    assert (
        "3 traefik-service , 4 ingress , 5 endpoints , 6 traefik-logs , 7 request "
        ": no kubeconfig: set KUBECONFIG or --kubeconfig"
    ) in page.words


@pytest.mark.parametrize("state", ["unknown", "not_applicable"])
def test_a_reason_stands_once_in_the_picture_and_everywhere_in_words(
    state: Literal["unknown", "not_applicable"],
) -> None:
    hops = tuple(
        PathHop(hop, hop.value, state, "forbidden by somebody")
        for hop in (Hop.ROUTE, Hop.SERVICE, Hop.POD)
    )
    page = to_html(msgspec.structs.replace(BROKEN, path=hops)).decode()
    assert page.count(">forbidden by somebody</text>") == 1
    assert page.count('<span class="soft">forbidden by somebody</span>') == 3


def test_a_replay_says_so() -> None:
    assert "replay of 2026-02-25T03:00:00Z" not in Tags(to_html(BROKEN)).words
    again = msgspec.structs.replace(BROKEN, replayed=True)
    assert "replay of 2026-02-25T03:00:00Z" in Tags(to_html(again)).words
