#!/usr/bin/env python3
"""Check the import order of the package: a module imports only from those listed above it.

Reads the source with `ast`, so imports inside functions, under `TYPE_CHECKING` and through
`import_module("literal")` count too. Prints one line a violation and exits 1, or prints nothing and exits 0.
Needs the standard library only.
"""

import ast
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

PACKAGE = "codesign"

# From the foundation to the command line. `protection` comes early because every replica has fault sites of its own
# and a study names mechanisms; `vulnerability` measures with the engine; `board` builds, for which it reads the figures
# of `resources`, and comes before `search`, which reads capacities from it.
ORDER = (
    "errors",
    "extras",
    "notebook",
    "files",
    "progress",
    "assets",
    "fixed",
    "metrics",
    "network",
    "codes",
    "protection",
    "study",
    "faults",
    "train",
    "outcome",
    "hls",
    "engine",
    "vulnerability",
    "campaign",
    "resources",
    "board",
    "begin",
    "search",
    "report",
    "doctor",
    "cli_words",
    "cli_help",
    "cli_common",
    "steps",
    "subject",
    "cli_subjects",
    "cli_silicon",
    "cli_campaign",
    "cli_store",
    "cli_curve",
    "cli_avf",
    "cli_resources",
    "cli_export",
    "cli_ablate",
    "cli_analyze",
    "cli_calibrate",
    "cli_init",
    "cli_upsets",
    "cli_build",
    "cli_deploy",
    "cli_doctor",
    "cli",
    "pytest_plugin",
)

# The face of the package and `python -m codesign`: they may import every module, no module may import them.
FACE = ("__init__", "__main__")

# Metadata that every module may take from the package itself.
METADATA = ("__version__",)

# Runs on boards by itself: it knows of no other module, and calls itself by relative imports.
ALONE = "board/runtime"
ALONE_NEEDS = ("numpy", "pynq")

TENSORFLOW = ("tensorflow", "tensorflow_model_optimization", "qkeras", "keras", "tf_keras")
TENSORFLOW_HOME = "train"


class Import(NamedTuple):
    """One import statement: the dotted name that is reached, 0 as level for an absolute import."""

    line: int
    name: str
    level: int = 0


def imports_of(tree: ast.AST) -> Iterator[Import]:
    """Every import of a module, lazy ones included; `from a import b` is reported as `a.b`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (Import(node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from (Import(node.lineno, f"{module or ''}.{alias.name}", level) for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield Import(node.lineno, name, len(name) - len(name.lstrip(".")))


def broken_rule(importer: str, found: Import) -> str | None:
    """Say which rule one import of module `importer` breaks; None where it breaks none."""
    if found.level:
        return "relative import; write the full name"
    root, _, rest = found.name.partition(".")
    if root in TENSORFLOW and importer != TENSORFLOW_HOME:
        return f"{root} may be imported in {PACKAGE}/{TENSORFLOW_HOME} only"
    if root != PACKAGE or importer in FACE or rest in METADATA:
        return None
    target = rest.partition(".")[0]
    if target not in ORDER:
        return f"{found.name} is not a module in the import order; import from the module that defines it"
    if ORDER.index(target) > ORDER.index(importer):
        return f"{importer} imports {target}, which stands below it in the import order"
    return None


def broken_alone(found: Import) -> str | None:
    """Which rule an import of what has to stand alone breaks; None where it breaks none."""
    root = found.name.partition(".")[0]
    if found.level == 1 or (not found.level and (root in ALONE_NEEDS or root in sys.stdlib_module_names)):
        return None
    return f"{ALONE} runs on a board: it imports itself (from .module), the standard library, {', '.join(ALONE_NEEDS)}"


def check_file(path: Path, package: Path) -> list[str]:
    """Return the violations of one source file as `file:line: rule`."""
    importer = path.relative_to(package).parts[0].removesuffix(".py")
    if importer not in ORDER and importer not in FACE:
        return [f"{path}:1: {importer} is not in the import order; add it to ORDER in scripts/check_imports.py"]
    tree = ast.parse(path.read_bytes(), filename=str(path))
    alone = path.relative_to(package).as_posix().startswith(f"{ALONE}/")
    rule = broken_alone if alone else partial(broken_rule, importer)
    violations = ((found.line, rule(found)) for found in imports_of(tree))
    return [f"{path}:{line}: {broken}" for line, broken in sorted({v for v in violations if v[1]})]


def check_package(package: Path) -> list[str]:
    """Return the violations of every module under the package's folder."""
    return [violation for path in sorted(package.rglob("*.py")) for violation in check_file(path, package)]


def main(argv: list[str]) -> int:
    """Check the folder named on the command line, or this checkout's package."""
    package = Path(argv[0]) if argv else Path(__file__).resolve().parent.parent / PACKAGE
    if not package.is_dir():
        print(f"check_imports: {package} is not a folder", file=sys.stderr)
        return 2
    violations = check_package(package)
    print("\n".join(violations), end="\n" if violations else "")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
