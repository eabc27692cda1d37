"""Weights on disk: safetensors that carry their network's config, and the import of the authors' checkpoints.

A weights file holds `net.*` and, where there are any, `critic.*` tensors; its metadata holds the family, both configs
as JSON and free text (recipe, commit, data, licence). Spectral norm is folded on saving, so a file never depends on
call counts.
"""

from manyfill.weights.importing import import_dfnet, import_picnet
from manyfill.weights.reading import Weights, load, trunk_of
from manyfill.weights.writing import save

__all__ = ["Weights", "import_dfnet", "import_picnet", "load", "save", "trunk_of"]
