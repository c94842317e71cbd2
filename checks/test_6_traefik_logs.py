"""Step 6 (`traefik-logs`), logs, grep ingress: what holds when all is well, in order."""

from hopcheck.steps.rule import Checklist
from hopcheck.steps.traefik_logs import replicas

RULES = (
    replicas.every_replica_has_loaded_the_route,
    replicas.traefik_refuses_nothing_on_the_way,
    replicas.the_declared_route_is_loaded,
    replicas.no_replica_sends_to_addresses_of_the_past,
)


def test_traefik_logs(checklist: Checklist) -> None:
    """Every Traefik replica has loaded the route."""
    checklist.conclude()
