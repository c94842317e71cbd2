"""Traefik's Service leads to ready pods whose entryPoints listen where it sends.

Step 3 of the checklist (`traefik-service`); judged by `hopcheck.steps.traefik_service.step`.
"""

import pytest

from hopcheck.app.fixtures import Conclusion


@pytest.mark.hop(step="traefik-service", reads=("dns", "aws", "kube", "traefik", "http"))
def test_traefik_service(checklist_step: Conclusion) -> None:
    """Traefik's Service leads to ready pods whose entryPoints listen where it sends."""
    checklist_step.conclude()
