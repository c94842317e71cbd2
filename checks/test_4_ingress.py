"""A route that Traefik reads matches host and path, and all it names exists.

Step 4 of the checklist (`ingress`); judged by `hopcheck.steps.ingress.step`.
"""

import pytest

from hopcheck.app.fixtures import Conclusion


@pytest.mark.hop(step="ingress", reads=("dns", "aws", "kube", "traefik", "http"))
def test_ingress(checklist_step: Conclusion) -> None:
    """A route that Traefik reads matches host and path, and all it names exists."""
    checklist_step.conclude()
