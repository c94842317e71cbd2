"""Step 1 (`dns`), nslookup: what holds when all is well, in order."""

from hopcheck.steps.dns import addresses, records
from hopcheck.steps.rule import Checklist

RULES = (
    records.every_resolver_answers,
    records.no_alias_leads_nowhere,
    records.the_name_exists,
    records.its_zone_is_served,
    records.the_name_has_addresses,
    records.resolvers_agree,
    records.no_resolver_lacks_the_name,
    addresses.addresses_are_its_load_balancers,
    addresses.the_load_balancer_leads_to_this_cluster,
    addresses.its_load_balancer_can_be_reached_from_here,
    addresses.addresses_of_both_families_are_named,
    addresses.this_machine_resolves_it_alike,
)


def test_dns(checklist: Checklist) -> None:
    """The name resolves, on every resolver asked, to addresses of its load balancer."""
    checklist.conclude()
