"""Step 3 (`traefik-service`), get svc traefik: what holds when all is well, in order."""

from hopcheck.steps.rule import Checklist
from hopcheck.steps.traefik_service import step

RULES = step.RULES


def test_traefik_service(checklist: Checklist) -> None:
    """Traefik's Service leads to ready pods whose entryPoints listen where it sends."""
    checklist.conclude()
