"""The parts of an installation that not everybody needs: what each brings, and what to say where it is missing."""

import importlib.util
from dataclasses import dataclass

from codesign.errors import MissingExtraError


@dataclass(frozen=True)
class Extra:
    """`modules` are names as they are imported, each with the package that brings it."""

    name: str
    modules: dict[str, str]
    enables: str

    @property
    def command(self) -> str:
        """How to get it."""
        return f"pip install 'codesign[{self.name}]'"

    def missing(self) -> str | None:
        """The first package of it that is not installed."""
        return next((package for module, package in self.modules.items() if not is_there(module)), None)


EXTRAS = {
    extra.name: extra
    for extra in (
        Extra(
            "train",
            {
                "tensorflow": "tensorflow",
                "tensorflow_model_optimization": "tensorflow-model-optimization",
                "qkeras": "qkeras",
            },
            "training, and Keras models of one's own",
        ),
        Extra("yosys", {"pyosys": "pyosys", "da4ml": "da4ml"}, "mapped figures and netlists, shared adder graphs"),
        Extra("dask", {"distributed": "distributed"}, "campaigns on a cluster: --dask"),
        Extra("search", {"optuna": "optuna"}, "the searchers tpe and nsga2"),
        Extra("parquet", {"pyarrow": "pyarrow"}, "codesign trials --out FILE.parquet"),
        Extra("board", {"paramiko": "paramiko", "pynq": "pynq"}, "codesign deploy, and the virtual board"),
        Extra(
            "docs",
            {"mkdocs": "mkdocs", "material": "mkdocs-material", "mkdocstrings": "mkdocstrings"},
            "this documentation as a site: make docs",
        ),
    )
}


def is_there(module: str) -> bool:
    """It can be imported; a package is not loaded to find out."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def require(name: str, what: str, otherwise: str = "") -> None:
    """Raise MissingExtraError, one line with the way to get it, where a package of that extra is missing.

    `what` begins the line, such as "training"; `otherwise` says how to do without.
    """
    extra = EXTRAS[name]
    if (package := extra.missing()) is not None:
        other = f"; {otherwise}" if otherwise else ""
        raise MissingExtraError(f"{what} needs {package}, which is not installed: {extra.command}{other}")


def extra_of(module: str | None) -> Extra | None:
    """The extra that brings a module, or a module inside it."""
    root = (module or "").partition(".")[0]
    return next((extra for extra in EXTRAS.values() if root in extra.modules), None)


def explanation(error: ModuleNotFoundError) -> str:
    """One line about a module that could not be imported."""
    if (extra := extra_of(error.name)) is not None:
        return f"this needs {error.name}, which is not installed: {extra.command}"
    return f"the package of the module '{error.name}' is missing: pip install codesign brings everything it needs"
