"""The estimate fitted to mapped designs: random protected networks, their counts, and factors of these."""

from codesign.resources.calibration.designs import Design as Design
from codesign.resources.calibration.designs import random_designs as random_designs
from codesign.resources.calibration.fit import calibrate as calibrate
from codesign.resources.calibration.fit import errors_of as errors_of
from codesign.resources.calibration.fit import estimated as estimated
from codesign.resources.calibration.fit import measured as measured
