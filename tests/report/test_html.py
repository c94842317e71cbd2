"""report.html, as text and in a real Chromium."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from hopcheck.model import Evidence, Hop, PathHop, PathMember, Report
from hopcheck.report.html import render_index, to_html
from hopcheck.report.store import IndexRow
from tests.report.chromium import BINARY, Chromium
from tests.report.examples import BROKEN, DEGRADED, EXAMPLES, HOSTILE, SELECTOR, hostile, path

ALL = {**EXAMPLES, "hostile": hostile()}
SCREENS = [(1280, 800), (390, 844)]
CALL = """(function () { %s })()"""
# Each text's contrast with the nearest background that is not transparent, by WCAG 2.2.
CONTRAST = (
    CALL
    % """
  const channel = v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const parse = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = parse(c).map(channel);
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor, p = parse(c);
    if (p.length < 4 || p[3] === 1) return c; } return "rgb(255,255,255)"; };
  document.querySelectorAll("details").forEach(d => d.open = true);
  const low = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let seen = 0;
  while (walk.nextNode()) { const n = walk.currentNode, e = n.parentElement;
    if (!n.data.trim() || !e.checkVisibility() || ["SCRIPT", "STYLE"].includes(e.tagName)) continue;
    const a = light(getComputedStyle(e).color), b = light(behind(e)); seen++;
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) low.push(n.data.trim().slice(0, 40) + " " + ratio.toFixed(2)); }
  return [seen, low];
"""
)
NETWORK = ("http://", "https://", "ws://", "ftp://")


class Tags(HTMLParser):
    """Collects start tags and text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


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
    assert not re.search(r"<li><code>[^<]*\n", page)  # a command never breaks its line


def test_a_page_of_everything_stays_below_300_kb() -> None:
    long = HOSTILE * 200
    proof = tuple(Evidence(long, long) for _ in range(50))
    finding = msgspec.structs.replace(SELECTOR, evidence=proof)
    step = msgspec.structs.replace(
        BROKEN.steps[4],
        findings=tuple(msgspec.structs.replace(finding, id=f"E-{n}") for n in range(8)),
    )
    members = tuple(PathMember(f"10.0.{n // 256}.{n % 256}:30001", "ok") for n in range(5000))
    hops = (PathHop(Hop.NODE, "5000 nodes", "ok", "", members),)
    report = msgspec.structs.replace(BROKEN, path=hops, steps=(*BROKEN.steps[:6], step))
    page = to_html(report)
    assert len(page) < 300_000
    assert "5000 members" in page.decode()
    assert "and 4988 more" in page.decode()


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
        ({"a": {"tls": 0.5, "total": 0.5}}, ["<b>a</b> 500 ms", "TLS 500 ms"]),
        ([{"address": "1.2.3.4", "first_byte": 0.25, "total": 0.2}], ["1.2.3.4</b> 250 ms"]),
    ],
)
def test_timings_as_a_waterfall(timings: object, texts: list[str]) -> None:
    step = msgspec.structs.replace(BROKEN.steps[6], facts={"timings": timings})
    page = to_html(msgspec.structs.replace(BROKEN, steps=(*BROKEN.steps[:6], step))).decode()
    for text in texts:
        assert text in page


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    if BINARY is None:
        pytest.skip("no chromium here: apt-get install chromium")
    with Chromium() as chromium:
        yield chromium


def written(tmp_path: Path, report: Report) -> Path:
    page = tmp_path / "report.html"
    page.write_bytes(to_html(report))
    return page


def bottom(browser: Chromium, selector: str) -> float:
    found = browser.evaluate(
        f"document.querySelector({selector!r})?.getBoundingClientRect().bottom ?? null"
    )
    assert isinstance(found, int | float), f"{selector} is not on the page"
    return float(found)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SCREENS)
@pytest.mark.parametrize("report", [BROKEN, DEGRADED], ids=["broken", "degraded"])
def test_object_cause_and_fix_on_the_first_screen(
    browser: Chromium, tmp_path: Path, report: Report, width: int, height: int, dark: bool
) -> None:
    browser.open(written(tmp_path, report), width, height, dark=dark)
    for selector in ("#verdict", "#headline", ".cause .what", ".cause .object", ".cause .fix"):
        assert 0 < bottom(browser, selector) <= height, selector
    seen, low = browser.evaluate(CONTRAST)
    assert seen > 100
    assert low == []


@pytest.mark.parametrize("report", ALL.values(), ids=ALL)
def test_nothing_runs_nothing_leaves_nothing_overflows(
    browser: Chromium, tmp_path: Path, report: Report
) -> None:
    for width in (360, 1280):
        browser.open(written(tmp_path, report), width, 800)
        browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        # Two frames: whatever the page wanted to load has been asked for by then.
        browser.evaluate(
            "new Promise(f => requestAnimationFrame(() => requestAnimationFrame(() => f(1))))"
        )
        title = browser.evaluate("document.title")
        assert title != "owned"
        assert title.endswith(" - hopcheck")
        urls = [one["request"]["url"] for one in browser.seen("Network.requestWillBeSent")]
        assert urls
        assert not any(url.startswith(NETWORK) for url in urls)
        assert browser.seen("Log.entryAdded") == []
        assert browser.seen("Runtime.consoleAPICalled") == []
        assert browser.seen("Runtime.exceptionThrown") == []
        wide = browser.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide == 0


def test_forty_members_read_well_on_a_small_screen(browser: Chromium, tmp_path: Path) -> None:
    browser.open(written(tmp_path, DEGRADED), 360, 800)
    chips = browser.evaluate(
        "[...document.querySelectorAll('.hops > .s-partial > .hop > .chips > li')]"
        ".map(one => one.textContent.trim())"
    )
    assert len(chips) == 8
    assert sum("broken" in chip for chip in chips) == 4
    assert "broken" in chips[0]
    assert browser.evaluate("document.body.textContent.includes('40 members: 4 broken, 36 ok')")


def test_it_reads_without_javascript(browser: Chromium, tmp_path: Path) -> None:
    browser.open(written(tmp_path, BROKEN), 1280, 800, script=False)
    root = browser.call("DOM.getDocument", depth=0)["root"]["nodeId"]
    buttons = browser.call("DOM.querySelectorAll", nodeId=root, selector="button:not([hidden])")
    assert buttons["nodeIds"] == []
    html = browser.call("DOM.getOuterHTML", nodeId=root)["outerHTML"]
    assert "Set spec.selector of Service default/my-app-service" in html


def test_copy_takes_the_command_alone(browser: Chromium, tmp_path: Path) -> None:
    browser.open(written(tmp_path, BROKEN), 1280, 800)
    copied = browser.evaluate(
        """(async () => {
          let text = null;
          navigator.clipboard.writeText = async value => { text = value; };
          const button = document.querySelector(".cause button");
          button.click();
          await new Promise(requestAnimationFrame);
          return [button.hidden, button.textContent, text];
        })()"""
    )
    assert copied == [False, "Copied", SELECTOR.commands[0]]


def test_an_anchor_opens_its_step(browser: Chromium, tmp_path: Path) -> None:
    browser.open(written(tmp_path, BROKEN), 1280, 800)
    browser.evaluate("document.getElementById('request').open = false")
    browser.evaluate("void (location.hash = '#REQ002')")
    browser.evaluate("new Promise(requestAnimationFrame)")
    assert browser.evaluate("document.getElementById('request').open") is True
    assert 0 <= bottom(browser, "#REQ002") - 100 <= 800


def test_shapes_and_words_for_every_state(browser: Chromium, tmp_path: Path) -> None:
    states = ("ok", "partial", "broken", "consequence", "unknown", "not_applicable")
    hops = zip(path(), states, strict=False)
    report = msgspec.structs.replace(
        BROKEN, path=tuple(msgspec.structs.replace(hop, state=state) for hop, state in hops)
    )
    browser.open(written(tmp_path, report), 1280, 800)
    words = browser.evaluate("[...document.querySelectorAll('.word')].map(e => e.textContent)")
    assert words == ["ok", "partial", "broken", "consequence", "not seen", "n/a"]
    drawn = browser.evaluate(
        "[...document.querySelectorAll('.dot use')].map(e => "
        "[e.getAttribute('href'), e.getBBox().width > 0])"
    )
    assert drawn == [[f"#i-{state}", True] for state in states]
