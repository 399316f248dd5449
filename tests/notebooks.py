"""The example notebooks, as programs."""

import json
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "boards" / "notebooks"
PREDICT = FOLDER / "predict.ipynb"


def read(path: Path) -> list[dict[str, object]]:
    """The cells of a notebook."""
    document = json.loads(path.read_text())
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    return list(document["cells"])


def program(path: Path) -> str:
    """The code of all cells, in their order."""
    return "\n".join("".join(cell["source"]) for cell in read(path) if cell["cell_type"] == "code") + "\n"


def check_printed(text: str, logits: int) -> None:
    """What predict.ipynb prints where all is well, for a package with so many logits."""
    lines = text.splitlines()
    assert f"equal logits: {logits} of {logits}" in lines
    assert "the same: True" in lines
    assert "passed: True seen: True" in lines
    assert not any("True" in line for line in lines if line.startswith(("corrected:", "detected:")))
    assert lines[-1].endswith("us for one sample (median)")
