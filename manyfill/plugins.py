"""Your own networks, recipes, masks, metrics, features and drawers: one file, and everything knows them by name.

    manyfill train --plugin mine.py --recipe sketch ...      (examples/plugin.py is such a file)

A plug-in is a Python file, or a module that an installed package names in the entry-point group `manyfill.plugins`. It
calls `add_...` when it is imported. Each of these fills one registry: `nets.families()`, `RECIPES`, `masks.KINDS`,
`METRICS`, `FEATURES`, `DRAWERS`; commands, weights files, training, evaluation and export ask those alone. An
objective needs no name: a recipe holds it.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterable, MutableMapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from manyfill import masks, nets
from manyfill.completer.drawing import DRAWERS, Drawer
from manyfill.errors import ManyfillError
from manyfill.metrics import METRICS, Metric
from manyfill.nets.perceptual import FEATURES, Features
from manyfill.recipes import CHAINS, RECIPES, Recipe

GROUP = "manyfill.plugins"
FILES = "MANYFILL_PLUGINS"  # environment: files that data processes load, too


def load(path: Path | str) -> None:
    """Run a plug-in's file, once. Raises ManyfillError where it is absent or fails, with what it said."""
    file = Path(path).resolve()
    name = f"manyfill_plugin_{file.stem}"
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(file):
        return
    if not file.is_file() or file.suffix != ".py":
        raise ManyfillError(f"--plugin {path}: there is no such Python file.")
    if known is not None:
        raise ManyfillError(f"--plugin {path}: another plug-in's file has the same name. Rename one of them.")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None, file
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up there
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's own code may raise
        del sys.modules[name]
        what = str(error) if isinstance(error, ManyfillError) else f"{type(error).__name__}: {error}"
        raise ManyfillError(f"--plugin {path} cannot be run: {what}") from error
    told = [file_ for file_ in os.environ.get(FILES, "").split(os.pathsep) if file_]
    os.environ[FILES] = os.pathsep.join(dict.fromkeys([*told, str(file)]))


def load_installed(found: Iterable[EntryPoint] | None = None) -> list[str]:
    """Import what installed packages name in the entry-point group (or `found`); their names. Raises ManyfillError."""
    found = list(entry_points(group=GROUP) if found is None else found)
    for entry in found:
        try:
            entry.load()
        except Exception as error:
            raise ManyfillError(
                f"the plug-in '{entry.name}' of an installed package cannot be loaded "
                f"({type(error).__name__}: {error}). Update or remove that package."
            ) from error
    return [entry.name for entry in found]


def load_again(*_: Any) -> None:
    """In a data process: the files that its parent had loaded. Also a `worker_init_fn`."""
    for file in os.environ.get(FILES, "").split(os.pathsep):
        if file:
            load(file)


def add_network(name: str, config: type[Any], network: type[Any]) -> None:
    """A family of networks: `nets.CompletionNet`, built from a frozen dataclass that its weights files then carry."""
    if name in nets.families():
        raise ManyfillError(_taken("network", name))
    nets.MORE[name] = (config, network)


def add_recipe(recipe: Recipe) -> None:
    """`--recipe NAME`."""
    if recipe.name in CHAINS:
        raise ManyfillError(_taken("recipe", recipe.name))
    _add("recipe", RECIPES, recipe.name, recipe)


def add_mask(name: str, draw: masks.MaskFn) -> None:
    """A kind of holes: (height, width, rng) -> (1,1,H,W), 1 = missing. For `--kind`, `--masks` and recipes."""
    _add("mask kind", masks.KINDS, name, draw)


def add_metric(metric: Metric) -> None:
    """A row of `METRICS`: `evaluate` measures it, unless `--metrics` leaves it out."""
    _add("metric", METRICS, metric.name, metric)


def add_features(kind: type[Features]) -> None:
    """A frozen pyramid for perceptual terms: `features` of a recipe."""
    _add("feature network", FEATURES, kind.name, kind)


def add_drawer(name: str, make: Callable[[str | None], Drawer]) -> None:
    """`--model NAME` for anything that draws: `make(device)` gives a `Drawer`, ready to use."""
    _add("model", DRAWERS, name, make)


def _add(what: str, registry: MutableMapping[str, Any], name: str, given: Any) -> None:
    if name in registry:
        raise ManyfillError(_taken(what, name))
    registry[name] = given


def _taken(what: str, name: str) -> str:
    return f"there is a {what} '{name}' already. Give yours another name."
