"""Step 3 (`traefik-service`), get svc traefik: what holds when all is well, in order."""

from hopcheck.steps.rule import Checklist
from hopcheck.steps.traefik_service import origin, pods, service, step

RULES = (
    # its load balancer
    origin.the_load_balancers_controller_fails_at_nothing,
    origin.somebody_makes_the_load_balancer,
    origin.annotations_of_the_load_balancer_are_known,
    # the Service
    service.traefik_has_a_service_where_it_needs_one,
    service.no_other_service_holds_its_addresses,
    service.the_selector_picks_traefiks_pods,
    service.nodes_that_are_targets_have_a_port_for_it,
    service.the_service_has_a_port_for_the_scheme,
    service.the_target_port_is_a_port_of_the_pods,
    service.the_port_leads_to_its_entrypoint,
    service.every_pod_listens_on_the_port,
    service.a_target_has_a_pod_under_policy_local,
    service.network_policies_admit_the_nodes,
    service.nodes_pass_on_what_pods_answer,
    # the pods
    pods.traefik_takes_its_static_configuration,
    pods.what_the_readiness_probe_asks_is_on,
    pods.traefiks_pods_are_ready,
    pods.traefik_may_read_what_it_needs,
    pods.the_routes_provider_is_on,
    pods.what_is_https_meets_no_redirect_to_https,
    pods.what_the_route_needs_of_traefik_is_on,
    pods.traefik_goes_without_nothing_that_the_route_needs,
    pods.the_api_is_not_open_to_everybody,
    step.traefik_runs_in_the_cluster,
)


def test_traefik_service(checklist: Checklist) -> None:
    """Traefik's Service leads to ready pods whose entryPoints listen where it sends."""
    checklist.conclude()
