"""Every Traefik replica has loaded the route.

Step 6 of the checklist (`traefik-logs`); judged by `hopcheck.steps.traefik_logs.step`.
"""

import pytest

from hopcheck.app.fixtures import Conclusion


@pytest.mark.hop(step="traefik-logs", reads=("dns", "aws", "kube", "traefik", "http"))
def test_traefik_logs(checklist_step: Conclusion) -> None:
    """Every Traefik replica has loaded the route."""
    checklist_step.conclude()
