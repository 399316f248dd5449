"""What the estimate keeps of a layer, so that a search can ask for many plans, changes no figure."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from networks import networks, plans

from codesign.errors import ConfigError
from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.resources.estimate import estimate

ASKED = networks().flatmap(lambda n: st.tuples(st.just(n), st.lists(plans(n), min_size=2, max_size=4)))


def new(network: Network) -> Network:
    """The same network, of whose layers nothing is kept."""
    return replace(network, layers=tuple(replace(layer) for layer in network.layers))


def figures(network: Network, plan: ProtectionPlan) -> object:
    try:
        return estimate(network, plan).to_json()
    except ConfigError as error:
        return str(error)


@given(ASKED)
def test_earlier_plans_do_not_change_an_estimate(asked: tuple[Network, list[ProtectionPlan]]) -> None:
    network, asked_plans = asked
    kept = new(network)
    for plan in [*asked_plans, *reversed(asked_plans)]:
        assert figures(kept, plan) == figures(new(network), plan)
