"""How the search goes: every constant of the texture stage, in one place, so that a trial replaces one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Search:
    """Lengths are pixels of the scale at hand, colours are in [0,1]. The values were chosen in docs/texture.md."""

    # scales
    side: int = 30  # scales are halved while the shorter side is at least this
    thick: float = 2.0  # and while the hole is at least this many pixels deep
    kept: float = 0.2  # a coarse pixel is known where so much of it is: thin holes close, lines are seen across them
    least: int = 150  # sources that the coarsest scale has
    working: int = 600_000  # pixels of the hole's surroundings up to which the field is searched, not refined
    # rounds
    rounds: int = 2  # of vote and search more at each coarser scale: lines are found there; each vote blurs a little
    finest: int = 3  # rounds at the working scale
    sparse: int = 4000  # patches from which on every round but a scale's last searches for every second one each way
    sweeps: int = 5  # at most of the search in each round
    reach: int = 32  # radius of the random search
    # what a patch costs
    edges: float = 1.5  # weight of the slopes beside the colours of a patch
    max_bias: float = 0.05  # light may change by this much
    bias_price: float = 0.5  # what such a change costs, beside the squared differences that it saves
    nearness: float = 0.02  # a source a whole picture away costs as much as a colour this far off
    nearer: float = 0.1  # and in a scene of unlike parts: there, what is far away is seldom what goes on in the hole
    rebate: float = 1.0  # of a source's own detail, off its price: votes blur, and must not favour smooth sources
    blur_depth: float = 4.0  # into the hole, where that is given in full; at the rim votes are sharp: nothing is
    calmer: float = 0.25  # share of the detail around the hole that a source has at least, or it pays
    calm: float = 0.1  # times the squared logarithm of what it lacks, as of a whole patch's squared differences
    whole: float = 0.8  # whole patches are scarce where they are less than this share of those with a known middle
    lack: float = 0.05  # price of a source's missing pixel where whole patches are scarce, as of a squared difference
    # votes
    deeper: float = 1.3  # a patch one pixel deeper in the hole has so much less say
    focus: float = 6.0  # spread of what a patch says around its middle: nearly even
    last_focus: float = 0.3  # and in the last vote: its middle alone, so that nothing blurs
    max_seam: float = 0.1  # colours may change by so much more where a seam is closed
    # the guide
    lines: bool = True  # straight edges that meet the hole on two sides are carried across it
    guide: float = 0.7  # weight of the guide's colours beside the photo's
    luma: float = 1.0  # weight of the guide's lightness
    chroma: float = 2.0  # and of its colour, which light does not change
    fade: float = 0.0025  # how fast a guide's colour shift at the rim fades inwards, at the coarsest scale
    blurred: float = 0.5  # low-passed difference from a blurred guide at which patches lose most of their say
    sharp: float = 0.12  # and from a sharp one
