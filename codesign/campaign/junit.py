"""A campaign's requirements as a JUnit file, which CI servers show."""

from xml.sax.saxutils import escape, quoteattr

from codesign.campaign.requirement import Status
from codesign.campaign.result import CampaignResult


def junit_text(study: str, result: CampaignResult) -> str:
    """One test case a requirement; what is not met is a failure that says what was measured."""
    cases, failures = [], 0
    for requirement, status in result.verdicts():
        interval = result.interval(requirement.metric, requirement.confidence)
        measured = f"{requirement.metric} {interval.mean:.6g} [{interval.low:.6g}, {interval.high:.6g}]"
        body = ""
        if status is not Status.MET:
            failures += 1
            body = f"<failure message={quoteattr(f'{status.value}: {measured}')}>{escape(measured)}</failure>"
        cases.append(f"  <testcase classname={quoteattr(study)} name={quoteattr(str(requirement))}>{body}</testcase>")
    head = f'<testsuite name={quoteattr("codesign " + study)} tests="{len(cases)}" failures="{failures}">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', head, *cases, "</testsuite>", ""])
