"""The command `manyfill`: names and one-line helps here, one file per command, imported when that command is called.

Exit codes are promises: 0 done; 1 some files of a batch failed (listed, the rest done); 2 the user's mistake, one line
`error: ...` that says what to do; 130 interrupted. A traceback appears only with --debug.
"""

from __future__ import annotations

import errno
import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import ManyfillError

# name -> (module of this package, one-line help)
COMMANDS: dict[str, tuple[str, str]] = {
    "complete": ("complete", "Fill the hole in a photo, or in every photo of a folder."),
    "select": ("select", "Make a mask: by a click, a box, text, dust or a colour."),
    "models": ("models", "List the installed models: size, licence, results, path."),
    "fetch": ("fetch", "Fetch weights that others publish, such as MI-GAN's, once."),
    "import": ("import_", "Turn the authors' PICNet or DFNet checkpoints into a model file."),
    "masks": ("masks", "Write random masks: PNG, white = fill, with a manifest."),
    "replay": ("replay", "Make the same files again, byte for byte, from a JSON sidecar."),
    "serve": ("serve", "Serve the web page and an HTTP interface for programs."),
    "export": ("export", "Write a model as one ONNX file, for any runtime or browser."),
    "train": ("train", "Train a model, or go on with a training run."),
    "label": ("label", "Ask a teacher for many truths per hole, to train on."),
    "evaluate": ("evaluate", "Measure models and other programs' results side by side."),
    "compare": ("compare", "Train what the papers compare, on an equal budget, side by side."),
}


class LazyCommands(TyperGroup):
    """Lists commands by their one-line helps alone; imports a command's file when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Replace the placeholder that `--help` lists by the command itself."""
        name, placeholder, rest = super().resolve_command(ctx, args)
        if placeholder is None or placeholder.name not in COMMANDS:
            return name, placeholder, rest
        module = import_module(f".{COMMANDS[placeholder.name][0]}", __package__)
        command = typer.main.get_command(module.app)
        command.name = placeholder.name
        return name, command, rest


app = typer.Typer(
    name="manyfill",
    cls=LazyCommands,
    help="Fill the hole in a photo: several different, seamless completions, best first.",
    rich_markup_mode=None,  # plain text: twice as much fits on a line as in boxes, and it can be piped
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"manyfill {__version__}")
        raise typer.Exit


@app.callback()
def _manyfill(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and a longer log; works anywhere.")] = False,
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            "--plugin", metavar="FILE.py", help="Add networks, recipes, masks, metrics of your own; works anywhere."
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Fill the hole in a photo: several different, seamless completions, best first."""


def _placeholder() -> Callable[[], None]:
    def unreachable() -> None:
        raise AssertionError("LazyCommands.resolve_command replaces this command before it is called")

    return unreachable


for _name, (_module, _help) in COMMANDS.items():
    app.command(_name, help=_help)(_placeholder())


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit code. Everything that goes wrong ends here, as one line on stderr."""
    args = list(args)
    end = args.index("--") if "--" in args else len(args)
    debug = "--debug" in args[:end]
    args = [arg for arg in args[:end] if arg != "--debug"] + args[end:]
    if debug:
        logging.basicConfig(stream=sys.stderr, format="%(name)s: %(message)s", force=True)
        logging.getLogger("manyfill").setLevel(logging.DEBUG)
    try:
        args = _load_plugins(args)
        code = typer.main.get_command(app).main(args=args or ["--help"], prog_name="manyfill", standalone_mode=False)
        if code == 130:
            print("interrupted", file=sys.stderr)
        return code if isinstance(code, int) else 0
    except (KeyboardInterrupt, typer.Abort):
        print("interrupted", file=sys.stderr)
        return 130  # as shells have it for Ctrl-C
    except BrokenPipeError:  # the reader of our stdout left: `manyfill models | head -1`
        sys.stdout = None  # else the interpreter complains once more when it flushes at exit
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return 2


def _load_plugins(args: list[str]) -> list[str]:
    """Load the files of `--plugin FILE.py`, wherever it stands, and what packages bring; gives the other arguments."""
    files, rest, given = [], [], iter(args)
    for arg in given:
        if arg == "--":
            rest += [arg, *given]
        elif arg == "--plugin":
            if (file := next(given, None)) is None:
                raise ManyfillError("--plugin needs a file: --plugin FILE.py.")
            files.append(file)
        elif arg.startswith("--plugin="):
            files.append(arg.removeprefix("--plugin="))
        else:
            rest.append(arg)
    works = bool(rest) and rest[0] in COMMANDS and rest[0] != "fetch" and not {"-h", "--help"} & set(rest)
    if files or (works and entry_points(group="manyfill.plugins")):
        from .. import plugins  # torch and all: only where there is a plug-in

        plugins.load_installed()
        for file in files:
            plugins.load(file)
    return rest


def _one_line(error: Exception) -> str:
    usage = getattr(error, "format_message", None)  # typer's own errors: a wrong option, a missing argument
    if usage is not None:
        where = getattr(getattr(error, "ctx", None), "command_path", "manyfill")
        said = str(usage()).rstrip(".")
        text = f"{said}{'' if said.endswith('?') else '.'} See: {where} --help"
    elif isinstance(error, ManyfillError):
        text = str(error)
    elif isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        name = Path(error.filename or "").name
        text = f"the name {name} is too long for this disk. Name the output yourself: -o FILE."
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    else:
        text = f"{type(error).__name__}: {error}. This is a fault in manyfill; run again with --debug and report it."
    return " ".join(text.replace("Value error, ", "").split())


def main() -> None:
    """Entry point of the console script and of `python -m manyfill`."""
    from .console import prepare

    prepare()
    raise SystemExit(run(sys.argv[1:]))
