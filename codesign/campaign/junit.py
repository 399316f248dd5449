"""A campaign's requirements as a JUnit file, which CI servers show."""

import re
from xml.sax.saxutils import escape, quoteattr

from codesign.campaign.requirement import Status
from codesign.campaign.result import CampaignResult
from codesign.campaign.verdict import Verdict

# What XML 1.0 cannot hold, not even escaped.
_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_text(name: str, result: CampaignResult) -> str:
    """One test case a requirement; what is not met is a failure that says what was measured.

    `name` is what was attacked: the tests' class. Elements and attributes are those that Jenkins' schema asks for.
    """
    name = _UNPRINTABLE.sub("?", name)
    findings = result.findings()
    failures = sum(verdict.status is not Status.MET for verdict in findings)
    counts = f'tests="{len(findings)}" failures="{failures}" errors="0" skipped="0"'
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f"<testsuite name={quoteattr('codesign ' + name)} {counts}>",
            *(_case(name, verdict, result) for verdict in findings),
            "</testsuite>",
            "",
        ]
    )


def _case(name: str, verdict: Verdict, result: CampaignResult) -> str:
    head = f"  <testcase classname={quoteattr(name)} name={quoteattr(str(verdict.requirement))}>"
    measured = f"{verdict.status.value}: {verdict.found}"
    if verdict.status is Status.MET:
        return f"{head}<system-out>{escape(measured)}</system-out></testcase>"
    details = (
        str(verdict),
        f"{result.simulator}, seed {result.seed}, {result.trials} trials of {result.samples} samples",
        *(f"{what} {getattr(result, what)}" for what in ("network", "plan", "fault_model")),
    )
    text = escape("\n".join(details))
    return f'{head}<failure type="{verdict.status.value}" message={quoteattr(measured)}>{text}</failure></testcase>'
