"""Where the data folders are, in a checkout and in an installed package alike."""

from pathlib import Path
from typing import Literal, get_args

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
