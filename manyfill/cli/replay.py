"""`manyfill replay`: the same files from a sidecar."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from manyfill import __version__
from manyfill.cli import console
from manyfill.errors import BadImage, BadMask, BadWeights, ManyfillError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Moved = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Where it is now, if it was moved.")]


@app.command()
def replay(
    sidecar: Annotated[Path, typer.Argument(metavar="SIDECAR", help="The JSON file beside the fills.", dir_okay=False)],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="The folder to write to.", file_okay=False)],
    photo: Moved = None,
    mask: Moved = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Name or file of the model, if its file was moved.")
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"] | None,
        typer.Option("--device", help="Default: the one that made the fills.", show_default=False),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace existing files even if manyfill did not write them.")
    ] = False,
) -> int:
    """Make the same files again, byte for byte, from a JSON sidecar.

    Photo, mask and model are looked for where they were and compared with the sidecar's checksums; so are the new
    files.
    """
    from manyfill.cli.options import load
    from manyfill.jobs import photo as jobs
    from manyfill.jobs.records import Sidecar, Target, Task

    record = Sidecar.read(sidecar)
    home = sidecar.parent
    if out.resolve() == home.resolve():
        raise ManyfillError(f"-o {out} is the folder of the fills themselves. Name another folder.")
    photo = photo or _find(home, record.photo.file, "photo", BadImage)
    if record.mask is not None:
        mask = mask or _find(home, record.mask.file, "mask", BadMask)
    model_file = None if record.model.file is None else home / record.model.file
    if model is None and model_file is not None and not model_file.is_file():
        raise BadWeights(f"the model {model_file} is no longer there. Say where it is now: --model FILE.")
    with console.status("loading the model"):
        name = model or (str(model_file) if model_file is not None else record.model.name)
        made = record.made_with
        engine = made.get("engine", "torch") if device in (None, made.get("device")) else "auto"
        completer, file = load(name, device=device or made.get("device", "auto"), engine=engine)
    task = Task(photo.name, photo, mask if record.mask is not None else None, Target(out, sidecar.stem), force=force)
    with console.bar(photo.name) as progress:
        done, differing = jobs.replay(completer, record, task, model_file=file, progress=progress)
    for path in done.files:
        console.out(str(path))
    for note in (*done.sidecar.notes, *done.notes):
        console.say(f"note: {note}")
    if not differing:
        console.say(f"{console.count(len(done.sidecar.fills), 'fill')}, byte for byte as recorded")
        return 0
    then = {"manyfill": record.version, **record.made_with}
    now = {"manyfill": __version__, **jobs.made_with(completer)}
    changed = ", ".join(f"{key} {then.get(key)} then, {now[key]} now" for key in now if then.get(key) != now[key])
    console.say(f"failed: {', '.join(differing)}: not the recorded bytes ({changed or 'same versions and device'})")
    return 1


def _find(home: Path, name: str, what: str, kind: type[ManyfillError]) -> Path:
    from manyfill.stores import is_address

    if is_address(name):
        raise kind(f"the {what} was at {name}. Fetch it, and say where it is now: --{what} PATH.")
    path = home / name
    if not path.is_file():
        raise kind(f"the {what} {path} is no longer there. Say where it is now: --{what} PATH.")
    return path
