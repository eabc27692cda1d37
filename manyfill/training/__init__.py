"""Training: the step (two updates), the loop, checkpoints and pictures."""

from manyfill.training.loop import train
from manyfill.training.stages import train_stages

__all__ = ["train", "train_stages"]
