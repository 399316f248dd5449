"""Fault campaigns: trials, their statistics, requirements on them, and the store that keeps them."""

from codesign.campaign.result import CampaignResult
from codesign.campaign.run import run_campaign

__all__ = ["CampaignResult", "run_campaign"]
