"""Step 5 (`endpoints`), get endpoints: what holds when all is well, in order."""

from hopcheck.steps.endpoints import step
from hopcheck.steps.rule import Checklist

RULES = step.RULES


def test_endpoints(checklist: Checklist) -> None:
    """The application's Service has ready endpoints that listen on its targetPort."""
    checklist.conclude()
