"""The application's Service has ready endpoints that listen on its targetPort.

Step 5 of the checklist (`endpoints`); judged by `hopcheck.steps.endpoints.step`.
"""

import pytest

from hopcheck.app.fixtures import Conclusion


@pytest.mark.hop(step="endpoints", reads=("dns", "aws", "kube", "traefik", "http"))
def test_endpoints(checklist_step: Conclusion) -> None:
    """The application's Service has ready endpoints that listen on its targetPort."""
    checklist_step.conclude()
