"""`manyfill complete`: one photo, or a folder of them."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from manyfill import zoo
from manyfill.cli import console, selecting, targets
from manyfill.cli.options import check_model, is_deterministic, load, model_names, parse_size, parse_texture
from manyfill.cli.reporter import Reporter
from manyfill.errors import ManyfillError

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
            "of --polarity; --grow covers the paint's soft rim.",
        ),
    ] = None,
    click: selecting.Clicks = None,
    keep: selecting.Keeps = None,
    scribble: selecting.Scribbles = None,
    box: selecting.BoxOption = None,
    text: selecting.Text = False,
    dust: selecting.Dust = False,
    colour: selecting.Colour = None,
    grow: selecting.Grow = None,
    extend: Annotated[
        str | None,
        typer.Option(
            "--extend",
            metavar="TOP,RIGHT,BOTTOM,LEFT",
            help="A larger canvas, whose border is filled: pixels or per cent of the photo, such as 0,25%,0,25%; one "
            "for all sides.",
        ),
    ] = None,
    extend_to: Annotated[
        str | None,
        typer.Option("--extend-to", metavar="W:H", help="Enlarge the canvas just enough for this shape, such as 16:9."),
    ] = None,
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
        typer.Option("--quality", min=1, max=100, help="Quality of JPEG and WebP files."),
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
        typer.Option("--max-memory", metavar="SIZE", help="Memory limit, such as 4G or 512M."),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Refuse a photo or mask that is a JPEG cut off near its end, instead of noting it.",
        ),
    ] = False,
    keep_video: Annotated[
        bool,
        typer.Option(
            "--keep-video",
            help="Keep a motion photo's video behind JPEG fills. It still shows what was removed.",
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="GLOB",
            help="In a folder: only photos whose path in it matches, such as '*.png' or 'holiday/*'. May be repeated.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="In a folder: show what would be filled and with which mask; write nothing."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            help="In a folder: how many photos are worked on at once. Default: as many as cores and free memory "
            "allow, at most 4; with --ray as many as the cluster has cores, or GPUs.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace existing files even if manyfill did not write them."),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray",
            metavar="auto|ADDRESS",
            help="In a folder: work on a Ray cluster, where every machine sees the same folders. auto: the cluster of "
            "this machine, else Ray on this machine alone.",
        ),
    ] = None,
) -> int:
    """Fill the hole in a photo, or in every photo of a folder.

    One fill: PHOTO_filled beside the photo. More fills: the folder fills/ with PHOTO_1, PHOTO_2 ..., best first, a
    contact sheet and a JSON sidecar from which `manyfill replay` makes the same files again. A folder of photos is
    resumed where an earlier run was interrupted. Photos and masks are never overwritten, nor is any other file that
    manyfill did not write, unless you say --force.
    """
    selection = selecting.wanted(
        clicks=click, keep=keep, scribbles=scribble, box=box, text=text, dust=dust, colour=colour, grow=grow
    )
    if selection is None and grow is not None and grow < 0:
        raise ManyfillError(f"--grow is {grow}; only a selection can be shrunk. Give 0 or more pixels.")
    marked = "selection" if selection is not None else "border" if extend is not None or extend_to is not None else None
    _check_together(mask, polarity, mask_colour, otherwise=marked, uncertainty=uncertainty, fills=fills)
    check_model(model)
    ceiling = None if max_memory is None else parse_size(max_memory)
    detail = parse_texture(texture)
    of_folders = {"--only": only, "--dry-run": dry_run, "--workers": workers, "--ray": ray}
    with console.status("looking at the photo"):
        inputs = targets.find(photo, mask, out, fills=fills, format=format, of_folders=of_folders)

    from manyfill.jobs.records import Options

    options = Options(
        n=fills,
        seed=seed,
        polarity=mask_colour or polarity,
        grow=0 if selection is not None else grow or 0,
        band=band,
        diversity=diversity,
        texture=detail,
        max_memory=ceiling,
        format=format,
        quality=quality,
        sheet=sheet if sheet is not None else fills > 1 or (inputs.target is not None and inputs.target.numbered),
        uncertainty=uncertainty,
        explain=explain,
        strict=strict,
        keep_video=keep_video,
        selection=selection,
        extend=extend,
        extend_to=extend_to,
    )
    completer, model_file = load(model, device=device, engine=engine)
    show = Reporter(json_lines=json_lines, options=options, deterministic=is_deterministic(completer))

    from manyfill.cli import filling
    from manyfill.jobs.addresses import Addresses

    loaded = filling.Loaded(completer, model_file, model, device, engine)
    if inputs.target is not None:
        return filling.one(loaded, inputs.task(force=force), options, show)
    job = inputs.job(options, model_file, only=tuple(only or ()), force=force)
    if dry_run:
        return filling.preview(loaded, job, show)
    if ray is not None or isinstance(job, Addresses):
        return filling.cluster(loaded, job, show, address=ray or "auto", workers=workers)
    return filling.folder(loaded, job, show, workers=workers)


def _check_together(
    mask: str | None, polarity: str, mask_colour: str | None, *, otherwise: str | None, uncertainty: bool, fills: int
) -> None:
    """Raise ManyfillError where options contradict each other, or where nothing says what the hole is."""
    if uncertainty and fills < 2:
        raise ManyfillError("--uncertainty shows where fills disagree, so it needs at least -n 2.")
    if mask_colour is not None and polarity != "white":
        raise ManyfillError(f"--mask-colour and --polarity {polarity} both say what the hole looks like. Give one.")
    if otherwise == "selection":
        for option, given in {"--mask": mask, "--polarity": polarity != "white", "--mask-colour": mask_colour}.items():
            if given:
                raise ManyfillError(f"{option} and a selection both say where the hole is. Give one of them.")
    elif otherwise is None and mask is None and polarity != "alpha" and mask_colour is None:
        raise ManyfillError(
            "nothing says where the hole is. Give --mask hole.png (white = fill), or --polarity alpha where the photo's"
            " own transparency is the hole, or --mask-colour '#ff00ff' where it was painted over, or --click X,Y on"
            " what is to go."
        )
    if mask_colour is not None:
        from manyfill.options import parse_colour

        parse_colour(mask_colour)
