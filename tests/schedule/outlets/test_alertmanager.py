"""Against a real Alertmanager (Debian's prometheus-alertmanager), where there is one."""

import datetime as dt
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hopcheck.schedule.outlets.incidents import Rules
from hopcheck.schedule.outlets.notify import Memory, notify
from hopcheck.schedule.outlets.settings import Outlets, SinkSettings
from tests.schedule.outlets.receiving import free_port
from tests.schedule.outlets.test_notify import LINK, seen

BINARY = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
CONFIG = "route: {receiver: none, group_wait: 1s}\nreceivers: [{name: none}]\n"

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="no Alertmanager here: apt-get install prometheus-alertmanager"
)


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp("alertmanager")
    (directory / "config.yml").write_text(CONFIG)
    port = free_port()
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(BINARY), f"--config.file={directory / 'config.yml'}",
             f"--storage.path={directory}", f"--web.listen-address=127.0.0.1:{port}",
             "--cluster.listen-address="],
            stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        wait_ready(url, process, directory / "log")
        yield url
    finally:
        process.terminate()
        process.wait(10)


def wait_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    pytest.fail(log.read_text())


def active(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{url}/api/v2/alerts?active=true", timeout=5) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_an_incident_is_an_alert_until_it_is_over(alertmanager: str) -> None:
    outlets = Outlets(
        rules=Rules(1, 1), sinks=(SinkSettings("am", alertmanager=alertmanager, hold=600),)
    )
    now = dt.datetime.now(dt.UTC)
    memory, told = notify(Memory(), [seen("a"), seen("b")], outlets, now=now)
    assert told.failures == ()
    found = {alert["labels"]["host"]: alert for alert in active(alertmanager)}
    assert set(found) == {"a.example.com", "b.example.com"}
    assert found["a.example.com"]["labels"] == {
        "alertname": "HopcheckHostBroken", "host": "a.example.com", "severity": "critical",
        "url": "https://a.example.com/", "owner": "shop", "code": "SVC008",
        "step": "traefik-service", "object": "Deployment gw/traefik",
    }  # fmt: skip
    assert found["a.example.com"]["annotations"]["runbook_url"] == f"{LINK}#SVC008"

    memory, told = notify(memory, [seen("a"), seen("b", ok=True)], outlets, now=now)
    assert told.failures == ()
    assert [alert["labels"]["host"] for alert in active(alertmanager)] == ["a.example.com"]
    notify(memory, [seen("a", ok=True)], outlets, now=now)
    assert active(alertmanager) == []


def test_what_it_refuses_is_said() -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    outlets = Outlets(rules=Rules(1, 1), sinks=(SinkSettings("am", alertmanager=dead),))
    _, told = notify(Memory(), [seen("a")], outlets, now=dt.datetime.now(dt.UTC))
    ((name, reason),) = told.failures
    assert name == "am"
    assert "refused" in reason
