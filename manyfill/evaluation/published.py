"""What the two papers measured, one word each: photos, holes, fills, which of them counts, and what differs here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from manyfill.errors import ManyfillError
from manyfill.evaluation.cases import Setup

Choose = Callable[[Sequence[float | None], Sequence[Mapping[str, float]]], int]  # scores and numbers of fills -> which
KEPT = 10  # fills with the best scores that PICNet's table chooses from


def nearest_of_ten(scores: Sequence[float | None], fills: Sequence[Mapping[str, float]]) -> int:
    """PICNet's choice (Zheng et al. 2019): of the ten fills that the critic likes best, the least L1 - PSNR + TV.

    The truth chooses: an oracle. Without a critic all fills are candidates. L1 and TV on 0..255, PSNR in dB.
    """
    order = range(len(fills))
    if all(score is not None for score in scores):
        order = sorted(order, key=lambda k: -float(scores[k] or 0.0))[:KEPT]  # type: ignore[assignment]
    return min(order, key=lambda k: fills[k]["l1"] - fills[k]["psnr"] + fills[k]["tv"])


@dataclass(frozen=True, kw_only=True)
class Published:
    """One table of a paper as a run of `evaluate`."""

    name: str
    setup: Setup
    n: int  # fills per photo
    metrics: tuple[str, ...]
    says: str  # which numbers of the paper these are
    differs: tuple[str, ...]  # what is not as there, or not known
    choose: Choose | None = None
    shown: str = "the first fill by seed"  # which of the {n} fills the tables are of


PROTOCOLS: dict[str, Published] = {
    p.name: p
    for p in (
        Published(
            name="picnet-imagenet",
            setup=Setup(masks="center", size=256, fit="squeeze", limit=20_000),
            n=50,
            metrics=("l1", "psnr", "tv", "is"),
            says="the quantitative table of Zheng et al. 2019: ImageNet, 20,000 test photos squeezed to 256 x 256, the "
            "middle 128 x 128 missing; L1, PSNR, TV and IS over whole pictures",
            differs=(
                "The photos are the first 20,000 of those given: which of ImageNet's the authors took is not known.",
                "PSNR leaves out fills equal to their photo (the release counts them as 100 dB).",
                "The release's script skips its last photo; this one does not.",
                "Photos are squeezed with an antialiased bilinear filter, as torchvision does.",
            ),
            choose=nearest_of_ten,
            shown="of {n} fills the ten that the critic scores highest, of these the least L1 - PSNR + TV, which needs "
            "the truth",
        ),
        Published(
            name="picnet-diversity",
            setup=Setup(masks="center", size=256, fit="squeeze", limit=1_000),
            n=100,
            metrics=("lpips_pairs", "lpips_pairs_hole"),
            says="the diversity table of Zheng et al. 2019: 50,000 pairs of fills of 1,000 CelebA-HQ faces with the "
            "middle missing; LPIPS (AlexNet, linear heads) of whole pictures, I_out, and of the hole, I_out(m)",
            differs=(
                "The pairs are fills 1 and 2, 3 and 4 ... of each photo: 50 of 100 fills. The author drew two folders.",
                "I_out(m) is LPIPS of the square cut out around the hole, as the author describes it; his code for it "
                "was never published.",
            ),
        ),
        Published(
            name="dfnet",
            setup=Setup(masks="bins", size=512, fit="squeeze"),
            n=1,
            metrics=("l1", "l1_percent", "psnr", "ssim", "fid", "boundary_1", "boundary_3", "boundary_5"),
            says="the kind of table of Hong et al. 2019: L1 and FID of whole pictures by hole ratio, 512 x 512 "
            "(--size 256 for the CelebA model)",
            differs=(
                "The paper's masks and test photos are not published: ours are the six bins of Liu et al. 2018, or "
                "--masks DIR, which is then resized with OpenCV's bilinear filter and stays grey, as in the release.",
                "The paper's boundary error (BPE) could not be found: boundary_1, _3 and _5 are ours.",
                "FID is over all photos, not by bin: it depends on how many there are.",
            ),
        ),
    )
}


def find(name: str) -> Published:
    """A protocol by its word. Raises ManyfillError with those that there are."""
    if name not in PROTOCOLS:
        near = difflib.get_close_matches(name, PROTOCOLS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ManyfillError(f"no protocol '{name}'.{hint} There are: {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
