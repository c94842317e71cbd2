"""Step 7 (`request`), curl -v: what holds when all is well, in order."""

from hopcheck.steps.request import answers, application, certificates, connections
from hopcheck.steps.rule import Checklist

RULES = (
    connections.no_redirect_leads_to_where_nobody_listens,
    connections.every_address_takes_the_connection,
    connections.every_address_keeps_the_connection,
    certificates.the_certificate_is_valid,
    certificates.the_certificate_is_valid_for_long_enough,
    answers.every_address_gives_the_expected_answer,
    application.redirects_lead_to_where_a_route_serves,
    answers.traefik_fails_at_no_hop,
    connections.either_version_of_http_serves,
    application.pods_serve_when_asked_directly,
    application.the_default_path_has_something,
    answers.answers_come_in_time,
    answers.the_asked_scheme_is_the_one_that_serves,
)


def test_request(checklist: Checklist) -> None:
    """The request is answered as expected at every address, with a valid certificate."""
    checklist.conclude()
