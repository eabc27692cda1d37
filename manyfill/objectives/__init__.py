"""What is minimised: networks, image and hole in; named, unweighted terms out. One file per objective.

An objective runs the networks once (`forward`), then gives the critics' terms and the generator's terms of that run.
Whatever is random comes in as `noise`, so that a step can be repeated exactly.
"""

from manyfill.objectives.cvae import CVAE
from manyfill.objectives.deterministic import Deterministic
from manyfill.objectives.dual_path import DualPath, DualPathOutputs
from manyfill.objectives.instance_blind import InstanceBlind
from manyfill.objectives.objective import Nets, Objective, Terms, complete
from manyfill.objectives.single_path import SinglePathOutputs
from manyfill.objectives.structure_texture import StructureTexture
from manyfill.objectives.terms import critic_terms, kl_to_size_prior

__all__ = [
    "CVAE",
    "Deterministic",
    "DualPath",
    "DualPathOutputs",
    "InstanceBlind",
    "Nets",
    "Objective",
    "SinglePathOutputs",
    "StructureTexture",
    "Terms",
    "complete",
    "critic_terms",
    "kl_to_size_prior",
]
