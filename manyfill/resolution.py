"""Names of before: see boxes, windows, scaling and seams."""

from manyfill.boxes import Bools, Box, tight
from manyfill.scaling import carry_detail, enlarge, from_net, shrink, shrink_hole, to_net
from manyfill.seams import Floats, close_seam, continue_outwards, fill_smoothly
from manyfill.windows import Turn, Window, net_size, plan, turns

__all__ = [
    "Bools",
    "Box",
    "Floats",
    "Turn",
    "Window",
    "carry_detail",
    "close_seam",
    "continue_outwards",
    "enlarge",
    "fill_smoothly",
    "from_net",
    "net_size",
    "plan",
    "shrink",
    "shrink_hole",
    "tight",
    "to_net",
    "turns",
]
