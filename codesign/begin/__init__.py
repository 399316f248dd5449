"""A study for a trained model and its data: what a new user begins with."""

from codesign.begin.samples import Samples
from codesign.begin.write import Begun, Wishes, begin

__all__ = ["Begun", "Samples", "Wishes", "begin"]
