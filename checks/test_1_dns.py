"""The name resolves, on every resolver asked, to addresses of its load balancer.

Step 1 of the checklist (`dns`); judged by `hopcheck.steps.dns.step`.
"""

import pytest

from hopcheck.app.fixtures import Conclusion


@pytest.mark.hop(step="dns", reads=("dns", "aws", "kube", "traefik", "http"))
def test_dns(checklist_step: Conclusion) -> None:
    """The name resolves, on every resolver asked, to addresses of its load balancer."""
    checklist_step.conclude()
