"""Manyfill: one photo with a hole goes in, several different, seamless completions come out.

    import manyfill
    completer = manyfill.load("pluralistic-fusion")
    fills = completer.complete("photo.jpg", "hole.png", n=4, seed=0)    # best first
    fills[0].save("out.jpg")

Importing this module is cheap: torch, numpy and Pillow are loaded when a name is first used (PEP 562).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .completer import Completer, Completion, Fills, uncertainty
    from .selection import select

__version__ = "0.1.0"

__all__ = ["Completer", "Completion", "Fills", "__version__", "complete", "load", "select", "uncertainty"]

_LAZY = {**dict.fromkeys(("Completer", "Completion", "Fills", "uncertainty"), "completer"), "select": "selection"}


def load(name_or_path: str | Path = "auto", *, device: str | None = None, engine: str = "auto") -> Completer:
    """Load a model by name (`manyfill models` lists them; "auto": the best that is installed), or a file.

    Files: .safetensors, or .onnx of a pipeline or network as docs/models.md says.
    """
    from .completer import Completer

    return Completer.from_pretrained(name_or_path, device=device, engine=engine)


def complete(
    photo: Any,
    mask: Any = None,
    *,
    model: str | Path = "auto",
    device: str | None = None,
    engine: str = "auto",
    n: int = 1,
    seed: int = 0,
    polarity: str = "white",
    grow: int = 0,
    band: int = 0,
    diversity: float = 1.0,
    near: int | None = None,
    step: float = 0.5,
    texture: str | float = "auto",
    max_memory: int | None = None,
    strict: bool = False,
    keep_video: bool = False,
    extend: Any = None,
    extend_to: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Fills:
    """Complete one photo, the short way: `load` the model and call its `complete`. Best fill first.

    The model stays loaded for the next call; another model takes its place.
    """
    return _kept(model, device, engine).complete(
        photo,
        mask,
        n=n,
        seed=seed,
        polarity=polarity,
        grow=grow,
        band=band,
        diversity=diversity,
        near=near,
        step=step,
        texture=texture,
        max_memory=max_memory,
        strict=strict,
        keep_video=keep_video,
        extend=extend,
        extend_to=extend_to,
        progress=progress,
    )


def _kept(model: str | Path, device: str | None, engine: str) -> Completer:
    """The model of the last call, where this one asks for the same and its file has not changed since."""
    from . import zoo

    name = zoo.default() if model == zoo.AUTO else str(model)
    file = zoo.file_of(name)
    about = file.stat() if file is not None and file.is_file() else None
    key = (name, device, engine, None if about is None else (about.st_mtime_ns, about.st_size))
    completer = _LOADED.get(key)
    if completer is None:
        completer = load(name, device=device, engine=engine)
        _LOADED.clear()
        _LOADED[key] = completer
    return completer


_LOADED: dict[object, Completer] = {}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'manyfill' has no attribute {name!r}")
    return getattr(import_module(f"manyfill.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
