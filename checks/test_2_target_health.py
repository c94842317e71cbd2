"""The load balancer listens on the port and its targets are healthy on Traefik's nodePort.

Step 2 of the checklist (`target-health`); judged by `hopcheck.steps.target_health.step`.
"""

import pytest

from hopcheck.app.fixtures import Conclusion


@pytest.mark.hop(step="target-health", reads=("dns", "aws", "kube", "traefik", "http"))
def test_target_health(checklist_step: Conclusion) -> None:
    """The load balancer listens on the port and its targets are healthy on Traefik's nodePort."""
    checklist_step.conclude()
