"""The estimate's counts alone, without the factors that are fitted to mapped designs."""

from dataclasses import replace

from codesign.network import Network
from codesign.protection import ProtectionPlan
from codesign.resources import estimate as estimates
from codesign.resources.estimate import Estimate, EstimatePolicy
from codesign.resources.factors import Terms, shipped

NO_FACTORS = replace(shipped(), terms=Terms())
POLICY = EstimatePolicy(calibration=NO_FACTORS)


def estimate(
    network: Network, plan: ProtectionPlan, *, clock_ns: float = 5.0, policy: EstimatePolicy = POLICY
) -> Estimate:
    """As `codesign.resources.estimate.estimate`."""
    counting = replace(policy, calibration=NO_FACTORS)
    return estimates.estimate(network, plan, clock_ns=clock_ns, policy=counting)
