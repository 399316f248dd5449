"""The pytest plugin: a project's own tests fail when its network keeps a requirement no longer."""

import subprocess
import sys
import textwrap
from pathlib import Path

import defusedxml.ElementTree
import numpy as np
import pytest
import studies

from codesign.hls.project import write_project
from codesign.protection import ProtectionPlan
from codesign.study import load_study
from codesign.train.builder import data

NETWORK = studies.tiny_network("tiny", studies.WIDTHS[-1])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody's project: a study, a saved network with its data, an HLS project."""
    study = studies.write_study(tmp_path / "models")
    samples = data(load_study(study))
    NETWORK.save(tmp_path / "models" / "net.npz")
    plan = ProtectionPlan.full(NETWORK)
    plan.save(tmp_path / "models" / "plan.json", NETWORK)
    np.savez(tmp_path / "models" / "data.npz", inputs=samples.test_inputs, labels=samples.test_labels)
    write_project(NETWORK, plan, tmp_path / "models" / "project")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path


def pytest_on(project: Path, body: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on one test of that project."""
    tests = project / "tests"
    tests.mkdir(exist_ok=True)
    (tests / "test_faults.py").write_text(textwrap.dedent(body))
    command = [sys.executable, "-m", "pytest", "-p", "codesign.pytest_plugin", "-p", "no:cacheprovider", *options]
    return subprocess.run([*command, str(tests)], cwd=project, capture_output=True, text=True, check=False)


def test_studies_networks_and_projects_are_tested(project: Path) -> None:
    done = pytest_on(
        project,
        """
        SAVED = {"data": "models/data.npz", "targets": ["accumulator"], "ber": 1e-3, "seed": 5, "trials": 50}


        def test_all(codesign_campaign, tmp_path):
            study = codesign_campaign("models/tiny.toml", "accuracy>=0.5@0.99", "sdc1<=0.5", plan="models/plan.json")
            network = codesign_campaign("models/net.npz", "accuracy>=0.5", plan="models/plan.json", **SAVED)
            project = codesign_campaign("models/project", until_decided=False, **SAVED)
            assert study.counts.tolist() == network.counts.tolist() == project.counts.tolist()
            assert project.accuracy.low > 0.9
            stopped = codesign_campaign("models/project", "accuracy>=0.5", until_decided=True, out="run", **SAVED)
            assert stopped.trials < 50
        """,
        "--junitxml=out.xml",
    )
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in project.iterdir()) == ["models", "out.xml", "pytest.ini", "run", "tests"]


def test_a_failure_says_a_line_on_each_requirement(project: Path) -> None:
    body = """
        def test_gate(codesign_campaign):
            codesign_campaign("models/tiny.toml", "accuracy>=0.5", "sdc1<=0.001", "accuracy>=0.847@0.999")
        """
    done = pytest_on(project, body, "--junitxml=out.xml")
    assert done.returncode == 1
    lines = done.stdout.split("___ test_gate ___")[1].splitlines()[1:5]
    assert lines[0] == "requirements are not met"
    for line, start in zip(
        lines[1:],
        ["accuracy>=0.5@0.95: met, ", "sdc1<=0.001@0.95: violated, sdc1 0.15", "accuracy>=0.847@0.999: undecided, "],
        strict=True,
    ):
        assert line.startswith(start) and "after 50 trials" in line
    assert lines[3].endswith("would decide it")
    assert "Traceback" not in done.stdout and "codesign_campaign(" not in done.stdout
    failure = defusedxml.ElementTree.parse(project / "out.xml").getroot().find(".//failure")
    assert failure is not None and "sdc1<=0.001@0.95: violated" in (failure.text or "")


BAD = {
    '"models/gone.npz", targets=["weight"], ber=1e-3': "no network file",
    '"models/tiny.toml", "accuracy>0.9"': "requirement 'accuracy>0.9': write it as",
    '"models/tiny.toml", "accuracy>=0.9", "accuracy<=0.8"': "contradict each other",
    '"models/tiny.toml", until_decided=True': "nothing to decide",
}


def test_bad_input_is_one_line(project: Path) -> None:
    tests = [f"def test_{n}(codesign_campaign):\n    codesign_campaign({call})\n" for n, call in enumerate(BAD)]
    done = pytest_on(project, "\n\n".join(tests), "--junitxml=out.xml")
    assert done.returncode == 1 and "Traceback" not in done.stdout
    failures = defusedxml.ElementTree.parse(project / "out.xml").getroot().findall(".//failure")
    assert len(failures) == len(BAD)
    for failure, said in zip(failures, BAD.values(), strict=True):
        assert failure.text is not None and "\n" not in failure.text
        assert failure.text.startswith("codesign: ") and said in failure.text


def test_loading_the_plugin_loads_nothing_heavy() -> None:
    code = "import pytest, sys; before = set(sys.modules); import codesign.pytest_plugin; "
    code += "print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['codesign', 'codesign.pytest_plugin']"


def test_the_fixture_explains_itself(project: Path) -> None:
    done = pytest_on(project, "", "--fixtures")
    assert "codesign_campaign" in done.stdout and "fail unless every requirement is met" in done.stdout
