"""The protected datapath as Verilog: from the same network and plan as the HLS project, for open synthesis."""

from codesign.resources.rtl.design import Rtl as Rtl
from codesign.resources.rtl.design import rtl as rtl
