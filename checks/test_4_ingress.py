"""Step 4 (`ingress`), describe ingress: what holds when all is well, in order."""

from hopcheck.steps.ingress import step
from hopcheck.steps.rule import Checklist

RULES = step.RULES


def test_ingress(checklist: Checklist) -> None:
    """A route that Traefik reads matches host and path, and all it names exists."""
    checklist.conclude()
