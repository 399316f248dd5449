"""The report as one self-contained HTML page: verdict first, evidence after it, all that is needed to repeat it."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from codesign.errors import StoreError
from codesign.files import write_atomically
from codesign.report import effects, facts, figures, reasons
from codesign.report.heat import heat_maps
from codesign.search.folder import RunFolder

_HERE = Path(__file__).parent
_CELLS = 4096  # neurons of a layer that its map shows; beyond, only the table tells


def write_report(folder: RunFolder) -> Path:
    """Write the page of a finished run beside its result and return its path.

    Raises ConfigError when the folder is no finished run or cannot be written, StoreError when its result is
    damaged or of another version.
    """
    result = folder.result()
    try:
        page = render(result)
    except (LookupError, TypeError, ValueError, AttributeError, jinja2.UndefinedError) as error:
        lacks = f"{folder.result_path} lacks what this version's report needs"
        raise StoreError(f"{lacks} ({error!r}): run `codesign optimize` again") from error
    write_atomically(folder.report, page)
    return folder.report


def render(result: dict[str, Any]) -> str:
    """The page of a result document; the same document gives the same text."""
    script = (_HERE / "page.js").read_text()
    varied, fixed = facts.variables(result)
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            result=result,
            chosen=facts.chosen(result),
            contest=facts.contest(result),
            names=facts.contest_names(result),
            checks=facts.checks(result, facts.chosen(result)),
            layers=facts.layers(result),
            heat_maps=heat_maps(result),
            varied=varied,
            fixed=fixed,
            cells=_CELLS,
            causes=facts.CAUSES,
            cost_figure=figures.cost_against_accuracy(result),
            curve_figure=figures.accuracy_against_ber(result),
            cause_figure=figures.luts_by_cause(result),
            convergence_figure=figures.convergence(result),
            starting=facts.starting(result),
            effects={name: effects.dependences(result, name) for name in _quantities(result)},
            # Both are our own files. Not a word of the result is ever put into them.
            sheet=Markup((_HERE / "page.css").read_text()),  # noqa: S704
            script=Markup(script),  # noqa: S704
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


def _quantities(result: dict[str, Any]) -> dict[str, Any]:
    """What a run explains; those of earlier versions explain nothing."""
    return reasons.quantities(result) if "explanation" in result else {}


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=facts.percent,
        rate=facts.rate,
        count=facts.count,
        interval=facts.interval,
        confidence=facts.confidence,
        misses=facts.misses,
        source=facts.source,
    )
    environment.globals.update(
        setting=facts.setting,
        words=facts.words,
        binding=facts.binding,
        reasons=reasons,
        variable=facts.variable,
        faults=facts.faults,
        fault_load=facts.fault_load,
        protection_luts=facts.protection_luts,
    )
    return environment
