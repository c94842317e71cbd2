"""The request is answered as expected at every address, with a valid certificate.

Step 7 of the checklist (`request`); judged by `hopcheck.steps.request.step`.
"""

import pytest

from hopcheck.app.fixtures import Conclusion


@pytest.mark.hop(step="request", reads=("dns", "aws", "kube", "traefik", "http"))
def test_request(checklist_step: Conclusion) -> None:
    """The request is answered as expected at every address, with a valid certificate."""
    checklist_step.conclude()
