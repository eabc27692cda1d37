"""`manyfill complete`: one photo, or a folder of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from manyfill import zoo
from manyfill.cli import console
from manyfill.cli.options import (
    check_model,
    check_pictures,
    is_deterministic,
    load,
    model_names,
    parse_size,
    parse_texture,
)
from manyfill.errors import ManyfillError

if TYPE_CHECKING:
    from manyfill.jobs.addresses import Errand
    from manyfill.jobs.folder import Summary
    from manyfill.jobs.records import Done, Failed, Options, Skipped, Target, Task

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def complete(
    photo: Annotated[
        str,
        typer.Argument(
            metavar="PHOTO",
            help="A photo, or a folder of photos (sub-folders too); with --ray also an address, such as s3://a/photos.",
        ),
    ],
    mask: Annotated[
        str | None,
        typer.Option(
            "--mask",
            help="What to fill: a picture of the photo's size, white = fill. For a folder: a folder of masks that pair "
            "by their path without suffix, or one mask for all.",
        ),
    ] = None,
    fills: Annotated[
        int, typer.Option("-n", "--fills", min=1, max=64, help="How many different fills, best first.")
    ] = 1,
    out: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--out",
            help="Where to: a folder, or with one fill of one photo also a file. Default: PHOTO_filled beside the "
            "photo, or with more fills the folder fills/ beside it.",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            help="A name (see: manyfill models) or a file, .safetensors or .onnx.",
            autocompletion=model_names,
        ),
    ] = zoo.AUTO,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first fill's seed; the next ones count up.")] = 0,
    polarity: Annotated[
        Literal["white", "black", "alpha"],
        typer.Option(
            "--polarity",
            help="What the hole looks like in the mask; alpha = transparent. With alpha and without --mask the photo's "
            "own transparency is the hole.",
        ),
    ] = "white",
    mask_colour: Annotated[
        str | None,
        typer.Option(
            "--mask-colour",
            metavar="'#RRGGBB'",
            help="Fill what was painted in this colour, in the mask or, without --mask, in the photo itself. Instead "
            "of --polarity; --grow takes in the paint's soft rim.",
        ),
    ] = None,
    grow: Annotated[int, typer.Option("--grow", min=0, metavar="PX", help="Enlarge the hole by this.")] = 0,
    band: Annotated[
        int,
        typer.Option(
            "--band",
            min=0,
            metavar="PX",
            help="Let the fill blend into the photo this far outside the hole; 0 keeps known pixels exact.",
        ),
    ] = 0,
    diversity: Annotated[
        float,
        typer.Option(
            "--diversity",
            min=0.0,
            max=2.0,
            help="How far the fills go from the most likely one; 0 = that one.",
        ),
    ] = 1.0,
    texture: Annotated[
        str,
        typer.Option(
            "--texture",
            metavar="auto|net|photo|0..1",
            help="How much of the detail comes from the photo's own patches rather than from the net.",
        ),
    ] = "auto",
    format: Annotated[
        Literal["same", "png", "jpg", "webp", "tiff"],
        typer.Option("--format", help="File format of the fills."),
    ] = "same",
    quality: Annotated[
        int | None,
        typer.Option("--quality", min=1, max=100, help="Of JPEG and WebP files."),
    ] = None,
    sheet: Annotated[
        bool | None,
        typer.Option(
            "--sheet/--no-sheet",
            help="A contact sheet: photo, hole, fills. Default: with more than one fill, and with one photo in "
            "a folder of its own.",
            show_default=False,
        ),
    ] = None,
    uncertainty: Annotated[
        bool,
        typer.Option("--uncertainty", help="A heat map of where the fills disagree."),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="A sheet of what in each fill is copied from the photo and what the net drew."),
    ] = False,
    json_lines: Annotated[
        bool,
        typer.Option("--json", help="One JSON object per fill on stdout, for programs."),
    ] = False,
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        typer.Option("--device", help="Where the net runs."),
    ] = "auto",
    engine: Annotated[
        Literal["auto", "torch", "openvino", "openvino-f32", "openvino-bf16", "onnxruntime"],
        typer.Option("--engine", help="What runs the net; auto: openvino where it is installed and pays off."),
    ] = "auto",
    max_memory: Annotated[
        str | None,
        typer.Option("--max-memory", metavar="SIZE", help="Ceiling, such as 4G or 512M."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="GLOB",
            help="Of a folder: only photos whose path inside it fits, such as '*.png' or 'holiday/*'. May be repeated.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Of a folder: say what would be filled and with which mask; write nothing."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="Of a folder: photos in work at once. Default: as many as cores and free memory allow, at most 4; "
            "with --ray as many as the cluster has cores, or GPUs.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace files where the fills go that manyfill did not write."),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="auto|ADDRESS",
            help="Of a folder: work on a Ray cluster, where every machine sees the same folders. auto: the cluster of "
            "this machine, else Ray on this machine alone.",
        ),
    ] = None,
) -> int:
    """Fill the hole in a photo, or in every photo of a folder.

    One fill: PHOTO_filled beside the photo. More fills: the folder fills/ with PHOTO_1, PHOTO_2 ..., best first, a
    contact sheet and a JSON sidecar from which `manyfill replay` makes the same files again. A folder of photos is
    resumed where an earlier run was interrupted. Photos and masks are never overwritten, nor is any other file that
    manyfill did not write, but for --force.
    """
    if uncertainty and fills < 2:
        raise ManyfillError("--uncertainty shows where fills disagree, so it needs at least -n 2.")
    if mask_colour is not None and polarity != "white":
        raise ManyfillError(f"--mask-colour and --polarity {polarity} both say what the hole looks like. Give one.")
    if mask is None and polarity != "alpha" and mask_colour is None:
        raise ManyfillError(
            "nothing says where the hole is. Give --mask hole.png (white = fill), or --polarity alpha where the photo's"
            " own transparency is the hole, or --mask-colour '#ff00ff' where it was painted over."
        )
    if mask_colour is not None:
        from manyfill.options import parse_colour

        parse_colour(mask_colour)
    from manyfill import stores

    check_model(model)
    ceiling = None if max_memory is None else parse_size(max_memory)
    detail = parse_texture(texture)
    addresses = [each for each in (photo, mask, out) if each is not None and stores.is_address(each)]
    if addresses:
        if ray is None:
            raise ManyfillError(f"{addresses[0]} is an address; those are for --ray auto or --ray ADDRESS.")
        if out is None:
            raise ManyfillError(f"{photo}: say which folder or address its fills go to: -o {addresses[0]}-fills")
        target = None
    else:
        place, its_mask = _existing(photo), None if mask is None else _existing(mask)
        target = _one_photo(place, its_mask, fills, out, format, {
            "--only": only, "--dry-run": dry_run, "--workers": workers, "--ray": ray
        })  # fmt: skip
        if target is not None:
            check_pictures(place, its_mask)
        if target is None and out is None:
            raise ManyfillError(f"{photo} is a folder; say which folder its fills go to: -o DIR.")

    from manyfill.jobs.records import Options

    options = Options(
        n=fills,
        seed=seed,
        polarity=mask_colour or polarity,
        grow=grow,
        band=band,
        diversity=diversity,
        texture=detail,
        max_memory=ceiling,
        format=format,
        quality=quality,
        sheet=sheet if sheet is not None else fills > 1 or (target is not None and target.numbered),
        uncertainty=uncertainty,
        explain=explain,
    )
    completer, model_file = load(model, device=device, engine=engine)
    show = Reporter(json_lines=json_lines, options=options, deterministic=is_deterministic(completer))
    if target is None:
        from manyfill.jobs import addresses as remotes
        from manyfill.jobs import cluster, folder
        from manyfill.jobs.folder import Job

        assert out is not None
        globs = tuple(only or ())
        where = cluster.Model(model if model_file is None else str(model_file), device, engine, completer.sha256)
        if addresses:
            remote = remotes.Addresses(
                _address(photo),
                None if mask is None else _address(mask),
                _address(out),
                options,
                model_file,
                globs,
                force,
            )
            if dry_run:
                return _preview(remotes.errands(remote, completer.sha256), show)
            work = partial(cluster.complete_addresses, where, remote, address=ray or "auto", workers=workers)
            return _folder(lambda name: remote.out.rstrip("/") + "/" + name, show, work)
        job = Job(Path(photo), None if mask is None else Path(mask), Path(out), options, model_file, globs, force)
        if job.out.exists() and not job.out.is_dir():
            raise ManyfillError(f"-o {job.out} is a file; the fills of a folder go to a folder.")
        if dry_run:
            return _preview(folder.preview(job, completer.sha256, note=lambda text: console.say(f"note: {text}")), show)
        if ray is not None:
            work = partial(cluster.complete_folder, where, job, address=ray, workers=workers)
        else:
            workers = workers or folder.default_workers(ceiling)
            work = partial(folder.complete_folder, completer, job, workers=workers)
        return _folder(lambda name: str(job.out / name), show, work)

    from manyfill.jobs.photo import complete_photo
    from manyfill.jobs.records import Task

    task = Task(photo, Path(photo), None if mask is None else Path(mask), target, force=force)
    with console.bar(task.photo.name) as progress:
        done = complete_photo(completer, task, options, model_file=model_file, progress=progress)
    show.done(done, lambda file: str(target.folder / file))
    console.say(f"{console.count(len(done.sidecar.fills), 'fill')} in {done.sidecar.seconds:.1f} s")
    return 0


def _existing(text: str) -> Path:
    """A path that is there."""
    path = Path(text)
    if not path.exists():
        raise ManyfillError(f"'{text}' does not exist. Check the spelling.")
    return path


def _address(text: str) -> str:
    """A path as an address, beside others that are addresses; every machine has to see it."""
    from manyfill import stores

    return text if stores.is_address(text) else f"file://{Path(text).absolute().as_posix()}"


def _one_photo(
    photo: Path, mask: Path | None, fills: int, out: str | None, format: str, of_folders: Mapping[str, Any]
) -> Target | None:
    """Where the fills of one photo go; None for a folder of photos."""
    if photo.is_dir():
        return None
    for option, given in of_folders.items():
        if given:
            raise ManyfillError(f"{option} is for a folder of photos, but {photo} is one photo. Leave it out.")
    if mask is not None and mask.is_dir():
        raise ManyfillError(f"--mask {mask} is a folder, but {photo} is one photo. Name the photo's mask.")
    return _target(photo, fills, None if out is None else Path(out), format)


def _preview(fates: Iterable[Task | Errand | Skipped | Failed], show: Reporter) -> int:
    from manyfill.jobs.records import Failed, Skipped

    counts = {"to do": 0, "done before": 0, "that will fail": 0}
    for fate in fates:
        if isinstance(fate, Failed):
            counts["that will fail"] += 1
            show.failed(fate)
            console.say(f"will fail: {fate.name}: {fate.error}")
        elif isinstance(fate, Skipped):
            counts["done before"] += 1
        else:
            counts["to do"] += 1
            show.planned(fate)
    console.say(f"{', '.join(f'{count} {what}' for what, count in counts.items())}; nothing was written")
    return 1 if counts["that will fail"] else 0


def _folder(place: Callable[[str], str], show: Reporter, work: Callable[..., Summary]) -> int:
    """Do the work; `place` says where a file of the outputs lies."""
    from manyfill.jobs.records import Done, Failed

    def report(fate: Done | Skipped | Failed) -> None:
        if isinstance(fate, Done):
            parent = Path(fate.name).parent
            show.done(fate, lambda file: place((parent / file).as_posix()))
        elif isinstance(fate, Failed):
            show.failed(fate)

    with console.bar("photos") as progress:
        summary = work(report=report, progress=progress)
    for note in summary.notes:
        console.say(f"note: {note}")
    parts = [f"{summary.done} done"]
    if summary.skipped:
        parts.append(f"{summary.skipped} done before")
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    rate = f", {summary.done / summary.seconds:.2f} photos/s" if summary.done and summary.seconds else ""
    console.say(f"{', '.join(parts)}; {summary.seconds:.1f} s{rate}")
    for failed in summary.failed:
        console.say(f"failed: {failed.name}: {failed.error}")
    return 1 if summary.failed else 0


class Reporter:
    """Tells people and programs what was written; each remark about the run is made once."""

    def __init__(self, *, json_lines: bool, options: Options, deterministic: bool) -> None:
        self.json_lines, self.options, self.deterministic = json_lines, options, deterministic
        self.said: set[str] = set()

    def done(self, done: Done, place: Callable[[str], str]) -> None:
        """Print a photo's files: paths for people, one JSON object per fill for programs; `place`: name to path."""
        from manyfill import photos

        sidecar, general = done.sidecar, {photos.reencodes(format) for format in photos.FORMATS}
        if self.json_lines:
            for rank, fill in enumerate(sidecar.fills, start=1):
                self._line(
                    photo=done.name,
                    file=place(fill.file),
                    rank=rank,
                    seed=fill.seed,
                    score=fill.score,
                    sha256=fill.sha256,
                    model=sidecar.model.name,
                    model_sha256=sidecar.model.sha256,
                    hole_ratio=sidecar.hole_ratio,
                    height=sidecar.height,
                    width=sidecar.width,
                    seconds=sidecar.seconds,
                    sheet=sidecar.sheet and place(sidecar.sheet),
                    uncertainty=sidecar.uncertainty and place(sidecar.uncertainty),
                    explain=sidecar.explain and place(sidecar.explain),
                    version=sidecar.version,
                    notes=[*sidecar.notes, *done.notes],
                )
        else:
            for path in done.files:
                console.out(str(path))
        for note in done.notes:
            self._once(note)
        for note in sidecar.notes:  # what is true of every photo in that format is said once
            self._once(note if note in general else f"{done.name}: {note}")
        if sidecar.hole_ratio == 0:
            self._once(f"{done.name}: the mask marks nothing to fill; the photo comes back as it was.")
        elif len(sidecar.fills) < self.options.n:
            made = console.count(len(sidecar.fills), "fill")
            self._once(f"{self.options.n} fills were asked for and {made} made: {self._why_fewer(sidecar.model.name)}.")

    def _why_fewer(self, model: str) -> str:
        if self.deterministic:
            return f"'{model}' is deterministic, it has one answer for each hole"
        if self.options.diversity == 0:
            return "with --diversity 0 there is one most likely fill"
        return "no further ones were different enough"

    def planned(self, task: Task | Errand) -> None:
        """Tell of a photo that would be filled, its mask and where its files would go."""
        from manyfill.jobs.records import Task

        if isinstance(task, Task):
            photo, mask = str(task.photo), str(task.mask or task.photo)
            fills = f"{task.target.folder / task.target.stem}_*"
        else:
            photo = task.photos.place(task.name)
            mask, fills = task.mask_address or photo, f"{task.out.place(str(Path(task.name).parent / task.stem))}_*"
        if self.json_lines:
            self._line(photo=task.name, mask=mask, fills=fills)
        else:
            console.out(f"{photo}  mask {mask}  to {fills}")

    def failed(self, failed: Any) -> None:
        """Tell programs of a photo that failed; people get the list at the end."""
        if self.json_lines:
            self._line(photo=failed.name, error=failed.error)

    def _line(self, **entries: object) -> None:
        console.out_json(entries)

    def _once(self, note: str) -> None:
        if note not in self.said:
            self.said.add(note)
            console.say(f"note: {note}")


def _target(photo: Path, fills: int, out: Path | None, format: str) -> Target:
    """Where the fills of one photo go, as a Target."""
    from manyfill.jobs.records import FORMATS, Target
    from manyfill.photos import SUFFIXES

    if out is None:
        if fills > 1:
            return Target(photo.parent / "fills", photo.stem)
        return Target(photo.parent, f"{photo.stem}_filled", numbered=False)
    suffix = out.suffix.lower()
    if out.is_dir() or not suffix:
        if out.exists() and not out.is_dir():
            raise ManyfillError(
                f"-o {out} is a file without a suffix. Name a folder, or a file with one, such as {out}.png."
            )
        return Target(out, photo.stem)
    if suffix not in SUFFIXES:
        from PIL import Image

        if suffix in Image.registered_extensions() or out.exists():
            known = " ".join(sorted(set(FORMATS.values())))
            raise ManyfillError(f"cannot write {out}: suffix {out.suffix}. Those that can be written: {known}.")
        return Target(out, photo.stem)
    if fills > 1:
        raise ManyfillError(
            f"-o {out} is one file, but -n asks for {fills} fills. Name a folder: -o {out.with_suffix('')}/"
        )
    if format != "same" and SUFFIXES[suffix] != SUFFIXES[FORMATS[format]]:
        raise ManyfillError(f"-o {out} and --format {format} disagree. Leave one of them out.")
    return Target(out.parent, out.stem, numbered=False, suffix=out.suffix)
