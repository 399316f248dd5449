"""The command `doctor`: what is there, what is missing, and what is wrong with a study."""

from pathlib import Path
from typing import Annotated

import typer

from codesign.cli_common import BAD_INPUT, Json, print_json
from codesign.cli_help import folded


def doctor(
    study: Annotated[
        Path | None, typer.Argument(metavar="[STUDY]", help="A study that is examined instead.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the tools that are there, and what each missing one would enable; or what is wrong with a study.

    Of a study the file, the board, the data, the model (built or loaded and converted, not trained) and what its search
    needs are looked at. Exit 2 if something is wrong with it.
    """
    from codesign.doctor import examine, examine_study

    if study is None:
        tools = examine()
        if as_json:
            return print_json({"tools": tools})
        width = max(len(tool["name"]) for tool in tools)
        for tool in tools:
            state = tool["version"] or "found" if tool["found"] else "missing"
            get = "" if tool["found"] else f"; to get it: {tool['get']}"
            print(folded(f"{tool['name']:<{width}}  {state:<9}  {tool['enables']}{get}", width + 13))
        return None
    checks = examine_study(study)
    if as_json:
        print_json({"study": str(study), "checks": checks})
    else:
        for check in checks:
            print(folded(f"{check['name']:<13} {'ok' if check['ok'] else 'WRONG':<6} {check['says']}", 21))
    if not all(check["ok"] for check in checks):
        raise typer.Exit(BAD_INPUT)
    return None
