"""Where the data folders are, in a checkout and in an installed package alike; files written from templates."""

from pathlib import Path
from typing import Any, Literal, get_args

from codesign.errors import ConfigError

Folder = Literal["hls_templates", "boards", "models"]

_PACKAGE = Path(__file__).resolve().parent


def asset(folder: Folder) -> Path:
    """The folder of that name. A wheel carries it inside the package, a checkout beside it.

    Inside is looked first: beside an installed package lies whatever else is installed, and a foreign
    `models` folder there must not be taken for ours.
    """
    if folder not in get_args(Folder):
        raise ConfigError(f"no asset folder '{folder}': there are {', '.join(get_args(Folder))}")
    places = (_PACKAGE / "_assets" / folder, _PACKAGE.parent / folder)
    for place in places:
        if place.is_dir():
            return place
    raise ConfigError(f"this installation lacks its folder '{folder}': looked at {places[0]} and {places[1]}")


def rendered(template: Path, **values: Any) -> str:
    """A script, a program or a study from a Jinja template: plain text, so that nothing is escaped.

    A value that the template names and is not given is an error.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701, no markup
    )
    return environment.get_template(template.name).render(**values)
