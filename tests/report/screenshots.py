"""The pictures of docs/screenshots: ``python -m tests.report.screenshots [DIRECTORY]``.

Each is the first screen of a recorded run of the gallery, as the browser shows it.
"""

import base64
import sys
import tempfile
from pathlib import Path

from msgspec.structs import replace

from hopcheck.engine.replay import replay
from hopcheck.history.changes import changes
from hopcheck.model import Report, Verdict
from hopcheck.report.evidence import load
from hopcheck.report.html import to_html
from tests.report.chromium import Chromium

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "screenshots"
# Name -> (snapshot, width, height, dark)
SHOTS = {
    "healthy": ("healthy", 1280, 800, False),
    "healthy-phone": ("healthy", 390, 844, True),
    "broken": ("svc-selector", 1180, 1100, False),
    "broken-phone": ("svc-selector", 390, 844, False),
    "broken-dark": ("tsvc-selector", 1280, 800, True),
    "degraded": ("tpod-replica-skew", 1280, 800, False),
    "degraded-phone": ("tpod-replica-skew", 390, 844, True),
}
LIMIT = 100_000  # bytes of one
_QUALITY = 60


def _report(name: str) -> Report:
    """A recorded run as if it followed the recorded healthy one."""
    snapshots = ROOT / "tests" / "snapshots"
    snapshot, healthy = (load(snapshots / f"{one}.json.gz") for one in (name, "healthy"))
    report = replace(replay(snapshot), replayed=False)
    if report.verdict is Verdict.HEALTHY:
        return report
    return replace(
        report,
        since=report.started_at,
        last_healthy=healthy.taken_at,
        compared_with=healthy.taken_at,
        changes=changes(healthy, snapshot, report.root_causes),
    )


def take(folder: Path) -> None:
    """Write every picture to `folder` as WebP. Raises ValueError where one is too large."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, Chromium() as browser:
        page = Path(directory) / "report.html"
        for name, (snapshot, width, height, dark) in SHOTS.items():
            page.write_bytes(to_html(_report(snapshot)))
            browser.open(page, width, height, dark=dark)
            browser.evaluate("document.documentElement.style.scrollbarWidth = 'none'")
            shot = browser.call("Page.captureScreenshot", format="webp", quality=_QUALITY)
            content = base64.b64decode(shot["data"])
            if len(content) > LIMIT:
                raise ValueError(f"{name}: {len(content)} bytes")
            (folder / f"{name}.webp").write_bytes(content)


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
