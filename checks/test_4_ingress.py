"""Step 4 (`ingress`), describe ingress: what holds when all is well, in order."""

from hopcheck.steps.ingress import (
    annotations,
    issuance,
    middlewares,
    ranking,
    references,
    router,
    tls,
    unserved,
)
from hopcheck.steps.rule import Checklist

RULES = (
    # a route serves the request (of these rules one speaks at most)
    unserved.route_is_of_a_group_that_traefik_reads,
    unserved.host_is_routed,
    unserved.ingress_class_is_traefiks,
    unserved.traefik_watches_the_route,
    unserved.route_has_a_form_that_traefik_reads,
    unserved.rule_can_be_read,
    unserved.references_are_permitted,
    unserved.one_entry_point_exists,
    unserved.path_is_routed,
    unserved.request_arrives_where_the_route_listens,
    unserved.no_redirect_leads_past_the_route,
    # what it names is there
    references.no_ingress_keeps_the_others_from_being_read,
    references.services_exist,
    references.services_have_the_port,
    references.servers_transports_exist,
    references.filters_leave_in_what_the_route_names,
    references.parents_exist,
    references.every_entry_point_exists,
    middlewares.middlewares_exist,
    middlewares.middlewares_have_what_they_need,
    middlewares.redirects_in_front_of_nothing_redirect,
    middlewares.application_is_asked_under_its_host,
    middlewares.middlewares_are_accepted,
    middlewares.middlewares_let_requests_through,
    tls.tls_options_exist,
    tls.certificate_is_usable,
    issuance.certificate_is_issued,
    tls.certificate_resolver_exists,
    tls.handshakes_are_accepted,
    tls.routes_of_the_host_agree_on_tls_options,
    references.redirects_lead_to_a_port_of_clients,
    annotations.annotations_do_something,
    router.router_is_enabled,
    router.requests_meet_the_rule,
    router.a_child_takes_what_the_parent_hands_on,
    # it is the route that was meant
    ranking.one_route_has_the_highest_priority,
    ranking.prefix_ends_with_a_path_element,
    ranking.own_host_outranks_a_wildcard,
    ranking.set_priority_leaves_the_host_its_own_route,
    ranking.other_rules_lead_somewhere,
)


def test_ingress(checklist: Checklist) -> None:
    """A route that Traefik reads matches host and path, and all it names exists."""
    checklist.conclude()
