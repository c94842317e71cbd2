"""Step 5 (`endpoints`), get endpoints: what holds when all is well, in order."""

from hopcheck.steps.endpoints import answers, between, policies, service, settings
from hopcheck.steps.rule import Checklist

RULES = (
    # the Service
    service.external_names_are_allowed,
    service.workload_has_replicas,
    settings.requests_have_somewhere_to_go,
    service.no_empty_service_spoils_the_route,
    service.service_selects_pods,
    service.target_port_is_named_in_the_pods,
    # its pods
    service.pods_run,
    service.pods_are_ready,
    service.endpoints_are_listed,
    service.every_pod_is_ready,
    # what they answer
    between.connections_to_the_pods_come_about,
    answers.every_endpoint_serves,
    answers.target_port_is_the_pods,
    answers.application_listens,
    answers.traefik_speaks_what_the_pods_speak,
    answers.traefik_trusts_the_pods,
    answers.application_answers,
    settings.traefiks_own_health_checks_pass,
    settings.traefik_waits_for_answers,
    answers.traefik_gets_answers,
    policies.policies_admit_traefik,
)


def test_endpoints(checklist: Checklist) -> None:
    """The application's Service has ready endpoints that listen on its targetPort."""
    checklist.conclude()
