"""The HTML report: what it says, that it is one sound page, and that nothing from outside gets into it unescaped."""

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markupsafe import Markup

from codesign.errors import ConfigError, StoreError
from codesign.report import facts, figures
from codesign.report.heat import heat_maps
from codesign.report.page import render, write_report
from codesign.report.text import outcome_text
from codesign.search.folder import RunFolder

RESULT = Path(__file__).parent / "data" / "report_result.json"
VOID = {"meta", "link", "input", "br"}


@pytest.fixture
def result() -> dict[str, Any]:
    return json.loads(RESULT.read_text())


@pytest.fixture
def infeasible(result: dict[str, Any]) -> dict[str, Any]:
    """Nothing meets the requirements: design 2 misses by the least."""
    evaluations = [e for e in result["evaluations"] if not e["feasible"]]
    nearest = {**evaluations[1], "protection_share": 0.4, "broken": ["accuracy_faulty"]}
    return {**result, "best": None, "nearest": nearest, "evaluations": evaluations}


@pytest.fixture(scope="module")
def drawn() -> str:
    """The page of the result as it is; drawing takes a moment."""
    return render(json.loads(RESULT.read_text()))


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the figures out, where a test is about words."""
    monkeypatch.setattr(figures, "draw", lambda *_: Markup("<svg></svg>"))


def measured(result: dict[str, Any]) -> dict[str, Any]:
    """The result of a run that measured bits: those of weight 2**-k from the top change 2**-k of the answers."""
    layers = [
        {
            **layer,
            "sdc1_by_neuron_and_bit": [
                [0.5 ** (layer["accumulator_bits"] - b) for b in range(layer["accumulator_bits"])]
            ]
            * len(layer["hardened_bits"]),
        }
        for layer in result["layers"]
    ]
    return {**result, "layers": layers}


class Page(HTMLParser):
    """A strict reading: every element is closed in order; attributes and text are kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> names an attribute twice"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def test_page_is_sound_and_accessible(result: dict[str, Any], drawn: str) -> None:
    page = Page(drawn)
    ids = page.ids()
    assert len(ids) == len(set(ids))
    assert page.all("html") == [{"lang": "en"}]
    drawings = [a for a in page.all("svg") + page.all("div") if a.get("role") == "img"]
    assert len(drawings) == 4 + len(result["layers"])
    assert all(drawing["aria-label"] for drawing in drawings)
    assert len(page.all("svg")) == 4
    assert len(page.all("figcaption")) == len(page.all("figure")) == len(drawings)
    assert all(header.get("scope") in ("row", "col") for header in page.all("th"))
    scrolled = [a for a in page.all("div") if "scroll" in a.get("class", "")]
    assert scrolled
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in scrolled)


def test_references_stay_within_the_page(drawn: str) -> None:
    page = Page(drawn)
    ids = set(page.ids())
    references = [a[name] for _, a in page.elements for name in ("href", "src", "xlink:href") if name in a]
    assert references
    assert all(r == "data:," or (r.startswith("#") and r[1:] in ids) for r in references)
    assert "http://" not in drawn
    assert "https://" not in drawn
    assert "@import" not in drawn
    shared = [part.split(")")[0] for part in drawn.split("url(#")[1:]]
    assert set(shared) <= ids


def test_same_result_same_bytes_of_modest_size(result: dict[str, Any], drawn: str) -> None:
    assert render(result) == drawn
    assert len(drawn.encode()) < 500_000


def test_no_placeholder_colour_is_left(drawn: str) -> None:
    assert "#0102" not in drawn
    assert "var(--chosen)" in drawn


def test_verdict_comes_first_and_names_its_confidence(drawn: str) -> None:
    text = Page(drawn).text
    assert text.index("Requirements met, at 95 % confidence") < text.index("Chosen design 4")
    assert "cheapest of 6 evaluated designs" in text
    assert "95.24 % [95.08, 95.40]" in text


def test_design_in_words(result: dict[str, Any]) -> None:
    told = " ".join(facts.words(result))
    assert "Weights have 4 bits, activations 4." in told
    assert "The 6 of 74 neurons with the highest importance score in the whole network have no hardened bits" in told
    assert "68 of 74 neurons are hardened" in told
    assert "exist three times, behind a bitwise majority voter" in told


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(1.0, "Every neuron counts as important and has no hardened bits"), (0.0, "every one has 6 hardened most")],
)
def test_words_where_all_neurons_are_alike(result: dict[str, Any], fraction: float, expected: str) -> None:
    result["best"]["design"]["important_fraction"] = fraction
    assert expected in " ".join(facts.words(result))


def test_cost_of_protection_and_source(drawn: str) -> None:
    text = Page(drawn).text
    assert "+13,118 LUT" in text
    assert "24.5 % of what full TMR adds" in text
    assert "an estimate by arithmetic, not the report of a synthesis tool" in text


@pytest.mark.usefixtures("undrawn")
def test_unknown_figures_are_named_and_never_zero(result: dict[str, Any]) -> None:
    for design in (result["best"], *result["baselines"].values(), *result["evaluations"]):
        design["resources"].update(ff=None, latency_cycles=None)
    result["best"]["protection_share"] = None
    text = Page(render(result)).text
    assert "not given cycles" in text
    assert "full TMR adds no LUT to compare with" in text


def test_nothing_feasible_shows_the_nearest_and_what_it_misses(infeasible: dict[str, Any]) -> None:
    text = Page(render(infeasible)).text
    assert "Requirements not met by any of 3 designs" in text
    assert "Nearest comes design 2" in text
    assert "✗ missed by 0.024 points" in text
    assert "Nearest design 2" in text
    assert "Requirements met" not in text


def test_the_constraint_that_binds_is_named(infeasible: dict[str, Any]) -> None:
    seen = {"met_by": 0, "alone_missed_by": 3, "best_margin": -0.012}
    nearest = {**infeasible["nearest"], "binding": "accuracy_faulty", "shortfalls": []}
    given = {**infeasible, "nearest": nearest, "constraints": {"accuracy_faulty": seen}}
    text = "The constraint that binds is accuracy under faults: "
    assert f"{text}no design meets it, the best one misses it by 1.2" in Page(render(given)).text
    assert "binding is accuracy_faulty: none of 3 designs meets it, the best misses it by 0.012" in outcome_text(given)
    given["constraints"]["accuracy_faulty"] = {**seen, "met_by": 1}
    assert f"{text}1 of 3 designs meet it." in Page(render(given)).text
    assert "binding is accuracy_faulty: 1 of 3 designs meet it" in outcome_text(given)


@pytest.mark.usefixtures("undrawn")
def test_the_front_and_failures_are_listed(result: dict[str, Any]) -> None:
    one = result["evaluations"][0]
    point = {"id": 0, "lut": 1234, "dsp": 0, "latency_cycles": 7, "accuracy_faulty": one["accuracy_faulty"]}
    failed = {"id": 9, "design": one["design"], "reason": "<b>no such layer</b>"}
    page = render({**result, "front": [point], "failed": [failed]})
    assert "that no other feasible one beats" in page and "1,234" in page
    assert "Design 9 could not be evaluated: &lt;b&gt;no such layer&lt;/b&gt;." in page
    assert "that no other feasible one beats" not in render(result)


@pytest.mark.usefixtures("undrawn")
def test_campaigns_of_different_lengths_are_said_to_be(result: dict[str, Any]) -> None:
    assert "every design is measured over" in render(result)
    most = result["best"]["accuracy_faulty"]["trials"]
    result["evaluations"][1]["accuracy_faulty"]["trials"] = 25
    assert f"designs are measured over 25 to {most} trials" in render(result)


@pytest.mark.parametrize("points", [0, 1])
def test_without_a_curve_its_section_is_left_out(result: dict[str, Any], points: int) -> None:
    # A rate of zero alone cannot stand on a logarithmic axis either.
    curve = {name: values[:points] for name, values in result["curve"].items()}
    result["curve"] = {**curve, "ber": [0.0]} if points else {}
    page = Page(render(result))
    assert "curve" not in page.ids()
    assert len(page.all("svg")) == 3


def test_a_rate_of_zero_is_told_but_not_drawn(result: dict[str, Any]) -> None:
    result["curve"]["ber"][0] = 0.0
    page = Page(render(result))
    assert len(page.all("svg")) == 4
    assert any("from 3e-5 to 1e-4" in drawing["aria-label"] for drawing in page.all("svg"))


@pytest.mark.usefixtures("undrawn")
def test_flips_instead_of_a_rate(result: dict[str, Any]) -> None:
    result["faults"].update(ber=None, n_flips=3)
    text = Page(render(result)).text
    assert "accuracy under faults, 3 flips a trial" in text
    assert "exactly 3 in each trial" in text


def test_names_from_outside_are_shown_as_text(result: dict[str, Any]) -> None:
    evil = "<b>x</b><script>alert(1)</script>\"'&$_^"
    result["study"] = evil
    result["layers"][0]["name"] = evil
    result["hardware"]["board"] = evil
    result["best"]["resources"]["tool_version"] = evil
    result["evaluations"][0]["design"]["strategy"] = evil
    page = Page(render(result))
    assert page.all("b") == []
    assert len(page.all("script")) == 1
    assert page.text.count(evil) >= 6


def test_commands_to_reproduce(drawn: str) -> None:
    text = Page(drawn).text
    assert "codesign optimize study/*.toml --evaluations 6 --out again" in text
    assert "--weight-bits 4 --plan best/plan.json --seed 0 --require 'accuracy>=0.95@0.95' --out fresh" in text


@pytest.mark.usefixtures("undrawn")
def test_large_layers_stay_small(result: dict[str, Any]) -> None:
    result["layers"][0]["hardened_bits"] = [3] * 50_000
    text = render(result)
    assert "the first 4096 neurons are shown" in text
    assert len(text.encode()) < 1_000_000


def test_pareto_front_has_nothing_that_is_dominated(result: dict[str, Any]) -> None:
    front = facts.pareto(result["evaluations"])
    points = [(e["cost"], e["accuracy_faulty"]["mean"]) for e in result["evaluations"]]
    for design in front:
        cost, accuracy = design["cost"], design["accuracy_faulty"]["mean"]
        assert not any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points)
    assert [e["id"] for e in front] == [5, 4, 3, 1]


def test_best_so_far_only_improves(result: dict[str, Any]) -> None:
    assert facts.best_so_far(result["evaluations"]) == [(1, 175315.0), (3, 39548.0), (4, 39295.0)]


@pytest.mark.parametrize(
    ("value", "text"), [(3e-5, "3e-5"), (1e-4, "1e-4"), (2.5e-3, "2.5e-3"), (0.05, "0.05"), (0, "0")]
)
def test_rates_are_written_short(value: float, text: str) -> None:
    assert facts.rate(value) == text


@pytest.mark.parametrize(
    ("margin", "text"),
    [(-0.0487, "by 4.9\u00a0points"), (-0.00024, "by 0.024\u00a0points"), (-0.314, "by 31\u00a0points")],
)
def test_shortfalls(margin: float, text: str) -> None:
    assert facts.misses({"margins": {"accuracy_faulty": margin}}) == [f"accuracy under faults {text}"]


def test_constraint_of_latency_and_a_full_board(result: dict[str, Any]) -> None:
    design = result["best"]
    result["requirements"]["latency_cycles"] = 10
    design["margins"].update(latency_cycles=-0.1, capacity=-1.0)
    result["hardware"]["capacity"]["dsp"] = 0
    design["resources"]["dsp"] = 4
    found = {check.name: check for check in facts.checks(result, design)}
    assert (found["latency"].reached, found["latency"].asked) == ("11 cycles", "at most 10 cycles")
    assert "needs DSPs, which the board does not have" in found["board capacity"].reached
    assert not found["latency"].met


def test_writes_beside_the_result(result: dict[str, Any], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_result(result)
    path = write_report(folder)
    assert path == tmp_path / "report.html"
    assert path.read_text() == render(result)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "result.json"]


def test_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run folder"):
        write_report(RunFolder(tmp_path))


def test_half_finished_run(tmp_path: Path) -> None:
    (tmp_path / "study.sqlite").touch()
    with pytest.raises(ConfigError, match="has no result yet"):
        write_report(RunFolder(tmp_path))


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}', '{"evaluations": []}', '{"evaluations": [1], "best": 2}'])
def test_damaged_or_foreign_result(tmp_path: Path, content: str) -> None:
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(StoreError, match=r"result\.json") as caught:
        write_report(RunFolder(tmp_path))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("key", ["layers", "verification", "curve", "versions", "baselines", "hardware"])
def test_result_of_another_version(result: dict[str, Any], tmp_path: Path, key: str) -> None:
    del result[key]
    folder = RunFolder(tmp_path)
    folder.write_result(result)
    with pytest.raises(StoreError, match=key):
        write_report(folder)


def test_import_draws_in_no_plotting_library() -> None:
    code = "import sys, codesign.report.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_design_that_missed_the_fresh_campaign_is_named(result: dict[str, Any]) -> None:
    assert "400 trials with seed 4294967297" in render(result)
    result["missed_fresh_campaign"] = [{"id": 3}, {"id": 5}]
    assert "2 cheaper designs met the requirement in the search but not in a longer campaign: number 3, 5." in render(
        result
    )


# ---------------------------------------------------------------- the terminal


def test_what_a_board_lacks_is_said(result: dict[str, Any]) -> None:
    nearest = {**result["best"], "broken": ["capacity"], "shortfalls": ["LUT: 9 needed, tiny has 5 (4 too few)"]}
    nearest["margins"] = {**nearest["margins"], "capacity": -0.8}
    text = outcome_text({**result, "best": None, "nearest": nearest})
    assert "misses capacity by 0.8\n  LUT: 9 needed, tiny has 5 (4 too few)\n" in text


def test_heat_maps_show_every_bit_and_where_it_is_hardened(result: dict[str, Any], undrawn: None) -> None:
    assert heat_maps(result) == [] and 'id="bits"' not in render(result)  # earlier runs measured none
    layers = measured(result)["layers"]
    layers[0] = {**layers[0], "name": "<first>"}
    maps = heat_maps({**result, "layers": layers})
    for layer, found in zip(layers, maps, strict=True):
        assert found.figure.count("fill-opacity") == len(layer["hardened_bits"]) * layer["accumulator_bits"]
        cuts = "".join(f"H{10 * h}V{10 * (j + 1)}" for j, h in enumerate(layer["hardened_bits"]))
        assert f'd="M0 0{cuts}H0"' in found.figure and 'fill-opacity="1.00"' in found.figure
    page = render({**result, "layers": layers})
    assert "<first>" not in page and "&lt;first&gt;: a flip of one bit changes" in page
    assert Page(page).open == []


def test_a_heat_map_tells_what_hardening_removes(result: dict[str, Any]) -> None:
    layer = {"name": "fc", "accumulator_bits": 4, "hardened_bits": [2, 0], "shape": [3, 2]}
    rates = [[0.0, 0.1, 0.3, 0.4], [0.0, 0.0, 0.0, 0.2]]
    [found] = heat_maps({"layers": [{**layer, "sdc1_by_neuron_and_bit": rates}]})
    assert found.told == (
        "a flip of one bit changes 12.5 % of the answers on average, at most 40.0 %; hardened bits hold 70.0 % of that"
    ).replace(" %", f"{facts.NBSP}%")
    nothing = {**layer, "sdc1_by_neuron_and_bit": [[0.0] * 4] * 2}
    assert "hardened bits hold 0.0" in heat_maps({"layers": [nothing]})[0].told


def explained(result: dict[str, Any]) -> dict[str, Any]:
    """The result of a run that says why: one variable mattered, one design missed something."""
    share = {"median": 0.6, "low": 0.3, "high": 0.9}
    points = [{"value": v, "median": 0.9 + v / 100, "low": 0.9, "high": 1.0} for v in (4, 6, 8)]
    kinds = [{"value": v, "median": 5e4, "low": 4e4, "high": 6e4} for v in ("tmr", "dmr")]
    quantities = {
        "cost": {
            "skill": 0.2,
            "unavailable": None,
            "variables": [{"name": "mechanism", "share": share, "dependence": kinds}],
        },
        "accuracy_faulty": {
            "skill": 0.9,
            "unavailable": None,
            "variables": [{"name": "weight_bits", "share": share, "dependence": points}],
        },
    }
    told = {
        "sensitivity": {"evaluations": 9, "confidence": 0.95, "unavailable": None, "quantities": quantities},
        "outcomes": [
            {"id": 0, "outcome": "rejected", "stage": "short campaign", "missed": {"accuracy_faulty": 0.03}},
            {"id": 1, "outcome": "feasible", "stage": "whole campaign", "missed": {}},
        ],
        "convergence": [{"id": 0, "starting": True}, {"id": 1, "starting": False}],
    }
    return {**result, "explanation": told}


def test_page_says_why(result: dict[str, Any]) -> None:
    page = Page(render(explained(result)))
    assert len(page.all("svg")) == 6
    assert "60 % [30, 90]" in page.text
    assert "94.00 % at 4, 98.00 % at 8" in page.text
    assert "20 % is foretold for a design by the others: too little to believe" in page.text
    assert "a short campaign accuracy under faults 1 3 points 3 points 0" in page.text
    assert {"href": "#why"} in page.all("a")


@pytest.mark.usefixtures("undrawn")
def test_runs_that_say_nothing_of_why_are_shown_without(result: dict[str, Any]) -> None:
    assert "why" not in Page(render(result)).ids()


@pytest.mark.usefixtures("undrawn")
def test_page_says_that_variables_are_unknown(result: dict[str, Any]) -> None:
    told = explained(result)
    unknown = {"evaluations": 2, "confidence": 0.95, "unavailable": "2 evaluations", "quantities": {}}
    page = Page(render({**told, "explanation": {**told["explanation"], "sensitivity": unknown, "outcomes": []}}))
    assert "Which variables mattered cannot be said: 2 evaluations." in page.text
    assert "No design was rejected." in page.text
