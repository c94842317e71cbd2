"""Step 2 (`target-health`), target group health: what holds when all is well, in order."""

from hopcheck.steps.rule import Checklist
from hopcheck.steps.target_health import health, listeners, passage, targets

RULES = (
    # the load balancer and its listener
    listeners.the_load_balancer_is_active,
    listeners.a_listener_takes_the_port,
    listeners.the_listener_leads_to_the_entrypoint_of_its_scheme,
    listeners.nothing_redirects_to_https_behind_ended_tls,
    listeners.both_ends_speak_tls_or_neither,
    listeners.the_listeners_certificate_is_the_hosts,
    listeners.the_listeners_rule_forwards,
    # the targets
    targets.the_group_has_targets,
    targets.an_alb_behind_is_there,
    targets.no_rule_before_traefiks_takes_the_request,
    targets.the_targets_are_this_clusters,
    targets.targets_are_on_a_port_of_traefik,
    targets.targets_of_a_group_lead_to_one_entrypoint,
    targets.aws_uses_every_target,
    targets.nodes_with_a_pod_are_registered_under_policy_local,
    health.every_zone_has_a_healthy_target,
    targets.both_ends_speak_proxy_protocol_or_neither,
    targets.every_pod_accepts_the_proxy_protocol_that_is_sent,
    targets.no_target_is_on_its_way,
    targets.targets_of_others_serve_the_host,
    targets.every_address_is_a_pods,
    targets.no_address_is_another_pods,
    # their health
    health.nodes_without_a_pod_are_unhealthy_on_purpose,
    health.the_health_check_asks_a_port_of_traefik,
    health.the_health_check_asks_what_traefik_answers,
    health.an_alb_behind_answers_its_health_check_as_wanted,
    health.every_target_is_healthy,
    # what gets through
    passage.clients_in_the_cluster_get_an_answer,
    passage.security_groups_let_the_traffic_through,
    passage.the_load_balancer_passes_on_what_nodes_answer,
)


def test_target_health(checklist: Checklist) -> None:
    """The load balancer listens on the port and its targets are healthy on Traefik's nodePort."""
    checklist.conclude()
