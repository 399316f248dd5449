"""What the documentation's commands find when the tests run them, which words are replaced, and what is not run.

A page has one folder, in which its blocks run in order. `models/digits_mlp.toml` is there the small study of
`studies.py`, with hand-made networks of 6 bits for those that training would give, and `runs/demo` its finished search;
`vivado` and its kind are scripts that leave what the real ones leave.
"""

import contextlib
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import board_tools
import numpy as np
import studies
from pages import ROOT, blocks

from codesign.cli import run
from codesign.protection import ProtectionPlan
from codesign.study import load_study
from codesign.subject import save_samples

TOP = "digits_mlp"
CSYNTH = {
    "vivado_hls": board_tools.REPORTS / "vivado-2020.1-xczu9eg-dnd" / "myproject_csynth.rpt",
    "vitis-run": board_tools.REPORTS / "vitis-2024.1-xcu250-conv1d" / "myproject_csynth.rpt",
}

# Lines by how they begin, with the reason why they are not run.
NOT_RUN = {
    "sudo apt install": "changes the machine",
    ". .venv/bin/activate": "the tests have an environment already",
    "make env": "makes an environment, of gigabytes; CI does",
    "pip wheel": "tests/test_wheel.py builds the wheel",
    "pip install": "changes the environment; tests/test_wheel.py installs the wheel elsewhere",
    "jupyter lab": "opens a browser; tests/test_notebook.py runs the notebook's cells",
    "codesign init mine.h5": "needs a trained model; docs/own_model.md makes one and takes it",
    "codesign optimize mine/study.toml": "as the line before it",
    "codesign ablate": "hours; tests/test_ablate.py runs it on a small study",
    "codesign calibrate": "minutes of Yosys; tests/test_calibration.py fits to few designs",
    "python benchmarks/": "up to hours; tests/test_benchmarks.py runs them with --quick",
    "from dask_jobqueue import": "needs Slurm or HTCondor",
}

# Words of a page that are replaced, with what stands for them in the tests.
REPLACED: dict[str, tuple[tuple[str, str], ...]] = {
    "docs/tutorial.md": (
        ("--weight-bits 4", "--weight-bits 6"),  # the small study's design has 6 bits
        ("accuracy>=0.95@0.99", "accuracy>=0.9@0.99"),  # and another accuracy
        ("sdc1<=0.03", "sdc1<=0.1"),
        ("accuracy>=0.94", "accuracy>=0.85"),
        ("--design 20", "--design 3"),  # of 8 designs
    ),
    "docs/clusters.md": (
        ("tcp://login1:8786", "scheduler.json"),
        ("--trials 10000000", "--trials 400"),
        ("--trials 2000", "--trials 50"),
        ("--workers 8", "--workers 2"),
        ("Processes(8)", "Processes(2)"),
        ("dask scheduler --", "dask scheduler --port 0 --host 127.0.0.1 --no-dashboard --"),
        ("--nworkers 16 --nthreads 1", "--nthreads 1 --no-nanny --no-dashboard"),
    ),
    "docs/engine.md": (("range(10_000)", "range(100)"),),
    "docs/netlist.md": (("--singles 50000", "--singles 500"),),
    "docs/runtime.md": (("--trials 100", "--trials 20"),),
    "docs/structures.md": (("dense_0", "fc1"),),
}

# Commands that say no: a requirement that stays undecided.
EXIT_CODES = {("docs/ci.md", "codesign campaign network.npz"): 1}

# Commands that go on until they are stopped; the file that shows that they are there.
SERVICES = {"dask scheduler": "scheduler.json", "dask worker": ""}

# What a page's Python has at hand besides what it makes itself.
GIVEN = {
    "docs/clusters.md": """
        import codesign
        from studies import tiny_network
        import numpy as np
        network, plan = tiny_network("tiny", 6), codesign.ProtectionPlan()
        faults = codesign.FaultModel(targets=("accumulator",), ber=1e-3)
        inputs = np.random.default_rng(0).integers(0, 17, (50, 6))
        labels = np.zeros(50, int)
    """,
    "docs/deploy.md": "import numpy as np; images = np.zeros((5, 6))",
    "docs/runtime.md": "import numpy as np; images = np.zeros((5, 6))",
    "docs/engine.md": """
        import numpy as np
        from studies import tiny_network
        from codesign.faults import FaultModel, FaultSpace
        from codesign.protection import ProtectionPlan
        network, plan = tiny_network("tiny", 6), ProtectionPlan()
        raw_inputs = np.random.default_rng(0).integers(0, 17, (50, 6))
        labels = np.zeros(50, int)
        space = FaultSpace(network, plan, FaultModel(targets=("accumulator",), n_flips=2), 50)
    """,
    "docs/structures.md": """
        from networks import small_network
        from codesign.protection import ProtectionPlan
        network, plan = small_network(), ProtectionPlan()
    """,
}


def write_models(folder: Path, *changes: tuple[str, str]) -> Path:
    """`models/digits_mlp.toml` and its builder in a folder: the small study under that name."""
    named = ('name = "tiny"', f'name = "{TOP}"'), ('"tiny.py"', f'"{TOP}.py"'), ("evaluations = 12", "evaluations = 8")
    models = folder / "models"
    study = studies.write_study(models, *named, *changes, kept=False)
    (models / "tiny.py").rename(models / f"{TOP}.py")
    study = study.rename(models / f"{TOP}.toml")
    studies.keep_networks(load_study(study))
    return study


def finished(folder: Path, out: str, *changes: tuple[str, str]) -> Path:
    """A folder with the study and its finished search."""
    write_models(folder, *changes)
    with contextlib.chdir(folder):
        assert run(["--quiet", "optimize", f"models/{TOP}.toml", "--out", out]) == 0
    return folder


def study_with(folder: Path, text: str) -> Path:
    """The study with sections of a snippet in place of its own, in a folder of its own: `mine`."""
    mine, given = folder / "mine", tomllib.loads(text)
    mine.mkdir(exist_ok=True)
    whole = (folder / "models" / f"{TOP}.toml").read_text()
    taken = {*given, *(["train"] if "file" in given.get("model", {}) else [])}
    kept = [part for part in re.split(r"^(?=\[)", whole, flags=re.MULTILINE) if part.split("]")[0][1:] not in taken]
    for name in (given.get("model", {}).get("builder", f"{TOP}.py"), given.get("model", {}).get("file")):
        if name:
            shutil.copy(folder / "models" / f"{TOP}.py", mine / name)
    path = mine / f"{TOP}.toml"
    path.write_text("".join(kept) + text)
    return path


def tools(folder: Path) -> Path:
    """Stand-ins for the vendor's tools, both for C-synthesis and for boards' projects."""
    board_tools.both(folder)
    place = f"{TOP}_prj/solution1/syn/report"
    for name, report in CSYNTH.items():
        reported = f"mkdir -p {place}; sed \"s/'myproject'/'{TOP}'/\" {report} > {place}/{TOP}_csynth.rpt"
        board_tools.stand_in(folder, name, f'case "$*" in *build_prj*) {reported};; *) {board_tools.hls_body()};; esac')
    return folder


# ---------------------------------------------------------------- what single pages need


@dataclass
class Stage:
    """`folder` is where a page begins, `words` are replaced in it; `demo` gives a folder with what `make demo` left."""

    folder: Path
    demo: Callable[[], Path]
    stack: contextlib.ExitStack
    words: dict[str, str] = field(default_factory=dict)

    def take_demo(self) -> None:
        shutil.copytree(self.demo(), self.folder, dirs_exist_ok=True)

    def take_study(self) -> None:
        write_models(self.folder)


def _cluster(stage: Stage) -> None:
    stage.take_study()
    for name, taken in ((f"{TOP}.py", f"{TOP}.py"), (f"{TOP}.toml", "study.toml")):
        shutil.copy(stage.folder / "models" / name, stage.folder / taken)


def _gate(stage: Stage) -> None:
    """The network and the data of the page's own example, also where its workflow looks for them."""
    [example] = [block for block in blocks(ROOT / "docs/ci.md") if "network.save" in block.body]
    faults = stage.folder / "faults"
    faults.mkdir()
    with contextlib.chdir(stage.folder):
        exec(compile(example.body, example.where, "exec"), names := {"__name__": "__main__"})
    for name in ("network.npz", "data.npz"):
        shutil.copy(stage.folder / name, faults)
    ProtectionPlan.full(names["network"]).save(faults / "plan.json", names["network"])


def _board(stage: Stage, *changes: tuple[str, str]) -> None:
    """The host `pynq` is a virtual board; what is said on the board itself is said here."""
    import desk

    from codesign.board.virtual import virtual_board

    place = stage.folder.parent
    desk.virtual_vivado(place / "tools")
    write_models(stage.folder, *changes)
    stage.words["--host pynq"] = " ".join(stage.stack.enter_context(desk.board_by_ssh(place)))
    stage.words[f"/home/xilinx/codesign/{TOP}-pynq-z2"] = str(package := place / f"board/codesign/{TOP}-pynq-z2")
    stage.stack.enter_context(virtual_board())
    stage.stack.enter_context(_import_from(package))


def _runtime(stage: Stage) -> None:
    """The page begins with a design that is on the board; its weights are in memories, so that they can be struck."""
    _board(stage, ("[space]", "[space]\nreuse_factor = 6"))
    inputs = np.random.default_rng(0).integers(0, 17, (20, 6))
    save_samples(stage.folder / "test.npz", inputs, np.zeros(20, int))
    exported = f"export runs/{TOP} --board pynq-z2 --upset-slots 2 --out digits_board"
    deployed = f"deploy digits_board {stage.words['--host pynq']}"
    with contextlib.chdir(stage.folder):
        for line in (f"optimize models/{TOP}.toml", exported, "build digits_board --board pynq-z2", deployed):
            assert run(["--quiet", *line.split()]) == 0, line


@contextlib.contextmanager
def _import_from(folder: Path) -> Iterator[None]:
    """`codesign_runtime` is that of the package."""
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith("codesign_runtime")]:
        del sys.modules[name]


PREPARE: dict[str, Callable[[Stage], None]] = {
    "README.md": Stage.take_study,
    "docs/ci.md": _gate,
    "docs/clusters.md": _cluster,
    "docs/commands.md": Stage.take_study,
    "docs/cost.md": Stage.take_study,
    "docs/deploy.md": _board,
    "docs/models.md": Stage.take_study,
    "docs/netlist.md": Stage.take_demo,
    "docs/python.md": Stage.take_study,
    "docs/runtime.md": _runtime,
    "docs/streams.md": Stage.take_demo,
    "docs/synthesis.md": Stage.take_demo,
    "docs/vendor.md": Stage.take_demo,
}

# Markers of pages, and modules that they need.
MARKS: dict[str, tuple[str, ...]] = {
    "README.md": ("cxx",),
    "docs/clusters.md": ("slow",),
    "docs/deploy.md": ("cxx", "slow"),
    "docs/netlist.md": ("cxx", "slow"),
    "docs/python.md": ("cxx",),
    "docs/runtime.md": ("cxx", "slow"),
    "docs/streams.md": ("cxx",),
    "docs/synthesis.md": ("cxx", "slow"),
    "docs/tutorial.md": ("cxx",),
    "docs/vendor.md": ("cxx",),
}
NEEDS = {
    "docs/clusters.md": {"distributed": "dask"},
    "docs/netlist.md": {"pyosys": "yosys"},
    "docs/structures.md": {"pyosys": "yosys", "da4ml": "yosys"},
    "docs/synthesis.md": {"pyosys": "yosys"},
    "docs/deploy.md": {"paramiko": "board", "pynq": "board"},
    "docs/runtime.md": {"paramiko": "board", "pynq": "board"},
}
