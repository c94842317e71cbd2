"""report.html in a real Chromium: first screen, accessibility, the picture, print, no script."""

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import msgspec
import pytest

from hopcheck.catalogue import language
from hopcheck.model import Report, Verdict
from hopcheck.report.html import render_index, to_html
from hopcheck.report.store import Day, IndexRow
from tests.recorded import names
from tests.recorded import report as replayed
from tests.report import screenshots
from tests.report.chromium import Chromium
from tests.report.examples import BROKEN, DEGRADED, EXAMPLES, HOST, SELECTOR, hostile, path

GALLERY = [name for name in names() if "/" not in name]
LONG_IN_KOREAN = [
    one
    for one in ("dns-split-horizon", "svc-not-http", "ing-path-overmatch", "tpod-static-bad")
    if one in GALLERY
]
ALL = {**EXAMPLES, "hostile": hostile()}
SCREENS = [(1280, 800), (390, 844)]
NETWORK = ("http://", "https://", "ws://", "ftp://")
STATES = ("ok", "partial", "broken", "consequence", "unknown", "not_applicable")


Write = Callable[[Report], Path]


@pytest.fixture
def written(tmp_path: Path) -> Write:
    def write(report: Report) -> Path:
        page = tmp_path / "report.html"
        page.write_bytes(to_html(report))
        return page

    return write


def bottoms(browser: Chromium, *selectors: str) -> dict[str, float | None]:
    found: dict[str, float | None] = browser.evaluate(
        f"""Object.fromEntries({list(selectors)!r}.map(one =>
          [one, document.querySelector(one)?.getBoundingClientRect().bottom ?? null]))"""
    )
    return found


@pytest.mark.parametrize("name", GALLERY)
def test_object_cause_and_fix_on_the_first_screen(
    browser: Chromium, written: Write, name: str
) -> None:
    first_screen(browser, written, replayed(name))


# The longest of headline and fix in Korean, and some of other steps.
@pytest.mark.parametrize("name", LONG_IN_KOREAN)
def test_the_first_screen_in_korean(browser: Chromium, written: Write, name: str) -> None:
    language.use("ko")
    report = replayed(name)
    first_screen(browser, written, report)
    assert browser.evaluate("document.documentElement.lang") == "ko"
    # A line ends between words, never within one.
    assert browser.evaluate("getComputedStyle(document.body).wordBreak") == "keep-all"
    fix = browser.evaluate("document.querySelector('.cause .fix').textContent")
    assert fix == f"조치: {report.root_causes[0].fix}"
    for width in (360, 1280):
        browser.resize(width, 800)
        assert browser.evaluate(TOO_WIDE) == 0
        assert browser.evaluate(STRAY) == []


def first_screen(browser: Chromium, written: Write, report: Report) -> None:
    """Open the report's page: verdict, object, cause and fix are seen without scrolling."""
    wanted = ["#verdict", "#headline"]
    if report.root_causes:
        # What the history adds stands before them.
        report = msgspec.structs.replace(
            report,
            since=report.started_at,
            last_healthy=BROKEN.last_healthy,
            compared_with=BROKEN.compared_with,
            changes=BROKEN.changes,
        )
        wanted += ["#since", "#changed", ".cause .what", ".cause .object", ".cause .fix"]
    browser.open(written(report), *SCREENS[0])
    for width, height in SCREENS:
        browser.resize(width, height)
        assert browser.evaluate("innerWidth") == width
        for selector, bottom in bottoms(browser, *wanted).items():
            assert bottom is not None, f"{selector} is not on the page"
            assert 0 < bottom <= height, f"{selector} at {width} x {height}"
    if report.root_causes:
        first = report.root_causes[0]
        object_, said = browser.evaluate(
            "[document.querySelector('.cause .object').textContent, document.body.innerText]"
        )
        assert first.object.name in object_
        assert first.message.rstrip(".") in said


AXE_PAGES = [
    *EXAMPLES,
    "hostile",
    *(one for one in ("healthy", "tpod-rbac", "tpod-replica-skew", "nlb-no-443") if one in GALLERY),
]


def violations(browser: Chromium) -> list[tuple[str, str, str]]:
    """What axe-core finds, as (rule, element, how to mend it)."""
    axe = (resources.files("axe_core_python") / "axe.min.js").read_text("utf-8")
    browser.evaluate(axe + ";0")
    result = browser.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(result["passes"]) > 10
    return [
        (rule["id"], node["html"][:200], node["failureSummary"])
        for rule in result["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("name", ["index", *dict.fromkeys(AXE_PAGES)])
def test_axe_finds_nothing(browser: Chromium, written: Write, tmp_path: Path, name: str) -> None:
    if name == "index":
        page = tmp_path / "index.html"
        page.write_bytes(render_index(ROWS))
    else:
        page = written(ALL[name] if name in ALL else replayed(name))
    for dark, width in ((False, 390), (True, 1280)):
        browser.open(page, width, 800, dark=dark)
        browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert violations(browser) == []


def test_axe_would_find_something(browser: Chromium, written: Write) -> None:
    browser.open(written(BROKEN), 390, 800)
    browser.evaluate(
        "document.documentElement.removeAttribute('lang');"
        "document.querySelector('.headline').style.color = '#fdd'"
    )
    assert {rule for rule, _, _ in violations(browser)} == {"html-has-lang", "color-contrast"}


ROWS = [
    IndexRow(
        f"{verdict.value}.example.com",
        f"https://{verdict.value}.example.com/",
        verdict.value,
        "It is.",
        "2026-02-25T03:00:00Z",
        "a/latest/report.html",
        "2026-02-24T03:00:00Z",
        (*(Day("2026-02-24", 2, worst, {worst.value: 1}) for worst in Verdict), Day("2026-02-25")),
    )
    for verdict in Verdict
]


@pytest.mark.parametrize("report", ALL.values(), ids=ALL)
def test_nothing_runs_nothing_leaves_nothing_overflows(
    browser: Chromium, written: Write, report: Report
) -> None:
    for width in (360, 1280):
        browser.open(written(report), width, 800)
        browser.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        # Two frames: whatever the page wanted to load has been asked for by then.
        browser.evaluate(
            "new Promise(f => requestAnimationFrame(() => requestAnimationFrame(() => f(1))))"
        )
        quiet(browser)
        assert browser.evaluate(TOO_WIDE) == 0


TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def quiet(browser: Chromium) -> None:
    """Nothing of the page acted: no script, no dialog, no request."""
    title = browser.evaluate("document.title")
    assert title != "owned"
    assert title.endswith(" - hopcheck")
    urls = [one["request"]["url"] for one in browser.seen("Network.requestWillBeSent")]
    assert urls
    assert not any(url.startswith(NETWORK) for url in urls)
    for event in (
        "Log.entryAdded",
        "Runtime.consoleAPICalled",
        "Runtime.exceptionThrown",
        "Page.javascriptDialogOpening",
    ):
        assert browser.seen(event) == []


# Texts of the picture that leave the frame of their hop, or stand on its state's word.
STRAY = """[...document.querySelectorAll('.picture g:has(> .frame)')].flatMap(group => {
  const frame = group.querySelector('.frame').getBoundingClientRect();
  const word = group.querySelector('.word').getBoundingClientRect();
  return [...group.querySelectorAll('text')].filter(text => {
    const box = text.getBoundingClientRect();
    const over = text.classList.contains('w-kind') && box.right > word.left;
    return over || box.left < frame.left || box.right > frame.right ||
      box.top < frame.top || box.bottom > frame.bottom;
  }).map(text => text.textContent);
})"""
KOREAN = "기본/쇼핑몰-결제-서비스-매우-긴-이름의-디플로이먼트 준비된 파드가 하나도 없습니다"


def test_no_text_leaves_its_frame(browser: Chromium, written: Write) -> None:
    long = [msgspec.structs.replace(hop, label=KOREAN, detail=KOREAN * 5) for hop in path()]
    wide = [msgspec.structs.replace(hop, label="W" * 300, detail="m" * 300) for hop in path()]
    reports = [
        DEGRADED,
        *(replayed(name) for name in ("healthy", "tpod-static-bad", "tsvc-selector", "nlb-no-443")),
        *(msgspec.structs.replace(BROKEN, path=tuple(hops)) for hops in (long, wide)),
    ]
    for report in reports:
        browser.open(written(report), 360, 800)
        assert browser.evaluate("document.querySelectorAll('.picture .frame').length") == 9
        assert browser.evaluate(STRAY) == []


def test_forty_targets_read_well_on_a_small_screen(browser: Chromium, written: Write) -> None:
    browser.open(written(DEGRADED), 360, 800)
    drawn = browser.evaluate(
        "[...document.querySelectorAll('.picture .s-partial use[width=\"10\"]')]"
        ".map(one => one.getAttribute('href'))"
    )
    assert drawn == ["#i-broken"] * 4 + ["#i-ok"] * 36
    said = browser.evaluate("document.querySelector('.picture .s-partial').textContent")
    assert "36 of 40 ok" in said
    assert said.count("broken") == 4
    assert "ip-10-0-1-8:30001" in said
    # Not smaller than one can read.
    size = browser.evaluate(
        "document.querySelector('.picture').getBoundingClientRect().width / 336 * 12"
    )
    assert size >= 11


def test_shapes_and_words_for_every_state(browser: Chromium, written: Write) -> None:
    hops = zip(path(), STATES, strict=False)
    report = msgspec.structs.replace(
        BROKEN, path=tuple(msgspec.structs.replace(hop, state=state) for hop, state in hops)
    )
    browser.open(written(report), 1280, 800)
    words = browser.evaluate("[...document.querySelectorAll('.word')].map(e => e.textContent)")
    assert words == ["ok", "partial", "broken", "consequence", "not seen", "not applicable"]
    drawn = browser.evaluate(
        "[...document.querySelectorAll('.picture use[width=\"16\"]')].map(e => "
        "[e.getAttribute('href'), e.getBBox().width > 0])"
    )
    assert drawn == [[f"#i-{state}", True] for state in STATES]
    frames = browser.evaluate(
        "[...document.querySelectorAll('.frame')].map(e => { const s = getComputedStyle(e);"
        " return [s.strokeWidth, s.strokeDasharray, s.stroke != 'none']; })"
    )
    look = dict(zip(STATES, frames, strict=True))
    assert float(look["broken"][0][:-2]) > 2 * float(look["ok"][0][:-2])
    assert look["unknown"][1] != "none"
    assert look["ok"][1] == "none"
    assert look["not_applicable"][2] is False
    hatched = browser.evaluate(
        "[...document.querySelectorAll('rect[fill=\"url(#hatch)\"]')]"
        ".map(e => e.parentElement.querySelector('.word').textContent)"
    )
    assert hatched == ["consequence"]


def test_the_picture_has_a_name_and_stands_in_words_too(browser: Chromium, written: Write) -> None:
    browser.open(written(DEGRADED), 1280, 800)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    (image,) = [
        node
        for node in tree
        if node["role"]["value"] == "image" and "path" in node["name"]["value"]
    ]
    assert image["name"]["value"].startswith(f"The path of a request to {HOST}")
    assert "Node 40 nodes, nodePort 30001: partial" in image["name"]["value"]
    words = browser.evaluate("document.querySelector('.hops').textContent")
    assert "36 of 40 ok" in words
    assert all(f"ip-10-0-1-{n}:30001" in words for n in range(40))


def test_it_reads_without_javascript(browser: Chromium, written: Write) -> None:
    browser.open(written(BROKEN), 1280, 800, script=False)
    root = browser.call("DOM.getDocument", depth=0)["root"]["nodeId"]
    buttons = browser.call("DOM.querySelectorAll", nodeId=root, selector="button:not([hidden])")
    assert buttons["nodeIds"] == []
    html = browser.call("DOM.getOuterHTML", nodeId=root)["outerHTML"]
    assert "Set spec.selector of Service default/my-app-service" in html


def test_copy_takes_the_command_alone(browser: Chromium, written: Write) -> None:
    browser.open(written(BROKEN), 1280, 800)
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


def test_an_anchor_opens_its_step(browser: Chromium, written: Write) -> None:
    browser.open(written(BROKEN), 1280, 800)
    browser.evaluate("document.getElementById('request').open = false")
    browser.evaluate("void (location.hash = '#REQ002')")
    browser.evaluate("new Promise(requestAnimationFrame)")
    assert browser.evaluate("document.getElementById('request').open") is True
    top = browser.evaluate("document.getElementById('REQ002').getBoundingClientRect().top")
    assert 0 <= top <= 700


@pytest.mark.parametrize("code", ["END001", "LOG001", "REQ002"])
def test_a_code_in_the_address_leads_to_its_finding(
    browser: Chromium, written: Write, code: str
) -> None:
    page = written(BROKEN)
    browser.open(page, 390, 844, fragment=code)
    top = browser.evaluate(f"document.getElementById({code!r}).getBoundingClientRect().top")
    assert 0 <= top <= 700


def test_paper_shows_all_in_light_colours(browser: Chromium, written: Write) -> None:
    browser.open(written(BROKEN), 1280, 800, dark=True)
    browser.call("Emulation.setEmulatedMedia", media="print")
    shown = browser.evaluate(
        "[getComputedStyle(document.body).backgroundColor,"
        " [...document.querySelectorAll('button')].filter(b => b.checkVisibility()).length,"
        " [...document.querySelectorAll('.proof')]"
        ".every(p => p.getBoundingClientRect().height > 0)]"
    )
    assert shown == ["rgb(255, 255, 255)", 0, True]
    paper = browser.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.7)
    assert re.match("JVBERi0", paper["data"])  # %PDF-


def test_the_pictures_of_the_docs_are_those_of_the_command_and_small() -> None:
    kept = {file.stem: file.stat().st_size for file in screenshots.FOLDER.glob("*.webp")}
    assert set(kept) == set(screenshots.SHOTS)
    assert all(size < screenshots.LIMIT for size in kept.values())
