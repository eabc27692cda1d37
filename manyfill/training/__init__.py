"""Training: the step (two updates), the loop, checkpoints and pictures."""

from manyfill.training.loop import train

__all__ = ["train"]
