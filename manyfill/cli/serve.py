"""`manyfill serve`: the HTTP interface and the page."""

from __future__ import annotations

import secrets
import socket
from importlib.util import find_spec
from typing import Annotated, Literal

import typer

from manyfill import zoo
from manyfill.cli import console
from manyfill.cli.options import parse_size
from manyfill.errors import ManyfillError

app = typer.Typer(add_completion=False, rich_markup_mode=None)

NEEDED = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "fastapi_offline")


@app.command()
def serve(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; 0.0.0.0 = all of this machine's.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 = any free one.")] = 8765,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="A name (see: manyfill models) or a file, .safetensors or .onnx; may be repeated, the "
            "first is the default.  [default: the best that is installed]",
            show_default=False,
        ),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            envvar="MANYFILL_TOKEN",
            show_envvar=True,
            help="Serve only those who send this as a bearer token. Other users of this machine can see --token in "
            "the list of processes, but not the variable.",
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            "--device",
            help="auto, cpu, cuda, cuda:1 ...; may be repeated, one worker each.  [default: auto]",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        Literal["auto", "torch", "openvino", "openvino-f32", "openvino-bf16", "onnxruntime"],
        typer.Option("--engine", help="What runs the net; auto: openvino where it is installed and pays off."),
    ] = "auto",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="A host name that browsers may use, such as that of a proxy in front of the server; may be "
            "repeated. This machine's own names always work, and with 0.0.0.0 any address; '*' = every name.",
            show_default=False,
        ),
    ] = None,
    trust_proxy: Annotated[
        str | None,
        typer.Option(
            "--trust-proxy", metavar="ADDRESS", help="Address of a proxy whose X-Forwarded-For and -Proto are believed."
        ),
    ] = None,
    max_body: Annotated[str, typer.Option("--max-body", metavar="SIZE", help="Largest request.")] = "64M",
    max_pixels: Annotated[int, typer.Option("--max-pixels", min=1, help="Largest photo.")] = 50_000_000,
    max_queue: Annotated[int, typer.Option("--max-queue", min=1, help="Requests that may wait.")] = 64,
    max_per_client: Annotated[
        int, typer.Option("--max-per-client", min=1, help="Requests that one client may have waiting.")
    ] = 32,
    max_memory: Annotated[
        str | None,
        typer.Option(
            "--max-memory",
            metavar="SIZE",
            help="Limit for the whole server, with program and models.  [default: 3.5G more than these hold]",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.001, help="Seconds for one request.")] = 300.0,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser once it answers.")] = False,
    keep: Annotated[float, typer.Option("--keep", min=0.001, help="Minutes that results by URL are kept.")] = 60.0,
) -> int:
    """Serve the web page, and an HTTP interface that programs for OpenAI and IOPaint can use.

    Prints its address on stdout. Stop it with Ctrl-C or SIGTERM: what is being worked on is finished first.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ManyfillError(f"the server needs {', '.join(missing)}. Install with: pip install 'manyfill[serve]'")
    if token is not None and not token.strip():
        raise ManyfillError("the token is empty. Leave out --token and MANYFILL_TOKEN to serve without one.")

    with console.status("starting"):
        from manyfill.server.running import Address, run
        from manyfill.server.settings import ANYWHERE, LOOPBACK, Limits, Settings

        local = host in LOOPBACK
        hosts = (*(allow_host or ()), *LOOPBACK, socket.gethostname() if host in ANYWHERE else host)
        settings = Settings(
            models=tuple(model or (zoo.default(),)),
            devices=tuple(device or ("auto",)),
            engine=engine,
            token=token,
            hosts=tuple(dict.fromkeys(name.lower() for name in hosts)),
            by_address=host in ANYWHERE,
            limits=Limits(
                body=parse_size(max_body, option="--max-body"),
                pixels=max_pixels,
                waiting=max_queue,
                per_client=max_per_client,
                seconds=timeout,
                memory=None if max_memory is None else parse_size(max_memory),
                result_seconds=60 * keep,
            ),
        )

    def announce(address: Address) -> None:
        console.out(address.here)
        models = " and ".join(settings.models)
        console.say(f"Serving the page and the API ({address.here}/docs) with {models}. Stop with Ctrl-C.")
        if address.elsewhere is not None:
            console.say(f"For other devices in this network: {address.elsewhere}")
        if not local and token is None:
            console.say(
                "note: everybody who reaches this machine may use the server. To keep others out, start it with a "
                f"token, such as this one: MANYFILL_TOKEN={secrets.token_urlsafe(18)}"
            )

    def started(address: Address) -> None:
        if not open_page:
            return
        import webbrowser

        if not webbrowser.open(address.here):
            console.say(f"note: no browser could be started here. Open {address.here} yourself.")

    return run(settings, host=host, port=port, trust_proxy=trust_proxy, announce=announce, started=started)
