"""The runbook: whole, and with the configured hosts' real links."""

import re

from hopcheck.catalogue.catalogue import entries
from hopcheck.config.options import HostRun, Options
from hopcheck.model import Severity, Target
from hopcheck.schedule.fleet_model import FleetHost
from hopcheck.schedule.runbook import runbook


def test_every_code_has_a_first_action_and_an_owner() -> None:
    rows = re.findall(r"^\| \[(\w+)\]\(([^)]+)\) \| (.+) \| (.+) \| (.+) \|$", runbook(), re.M)
    codes = [code for code, e in entries().items() if e.severity is not Severity.INFO]
    assert [row[0] for row in rows] == codes
    # docs/runbook.md beside docs/findings, as `make pages` writes them.
    assert [row[1] for row in rows] == [f"findings/{code}.md" for code in codes]
    for _, _, title, action, owner in rows:
        assert all(cell.strip() for cell in (title, action, owner))
        assert action != "\\<advice>"


def test_the_configured_hosts_with_their_links() -> None:
    link = "https://hopcheck.example.com/shop.example.com/latest/report.html"
    base = "https://hopcheck.example.com/"
    shop = HostRun(Target(host="shop.example.com"), Options(owner="shop"), base_url=base)
    odd = HostRun(Target(host="a", display_host="a|b<x>"), Options())
    page = runbook([FleetHost(shop), FleetHost(odd)])
    assert f"| shop.example.com | shop | {link} |" in page
    assert "| a\\|b\\<x> | - | - |" in page
