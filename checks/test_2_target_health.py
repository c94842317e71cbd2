"""Step 2 (`target-health`), target group health: what holds when all is well, in order."""

from hopcheck.steps.rule import Checklist
from hopcheck.steps.target_health import step

RULES = step.RULES


def test_target_health(checklist: Checklist) -> None:
    """The load balancer listens on the port and its targets are healthy on Traefik's nodePort."""
    checklist.conclude()
