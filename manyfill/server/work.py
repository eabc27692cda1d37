"""The work of a request, for the queue: what it does with the photo, and the pictures that it yields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from manyfill import photos
from manyfill.completer import Completion
from manyfill.options import FillOptions
from manyfill.server import pictures
from manyfill.server.forms import EditForm
from manyfill.server.pictures import Encoded
from manyfill.server.queue import Ticket
from manyfill.server.service import Models, Service


@dataclass(frozen=True)
class Shown:
    """A picture on its way to the client."""

    kind: Literal["partial", "fill", "uncertainty"]
    whole: Encoded
    small: Encoded | None = None  # where it is to be fetched by URL
    seed: int | None = None
    score: float | None = None
    step: int = 0


def edit(form: EditForm, image: bytes, mask: bytes | None, seed: int, model: str, service: Service) -> Any:
    """The work of one edit, for the queue."""
    limits = service.settings.limits
    options = FillOptions(
        n=form.n,
        seed=seed,
        grow=form.grow,
        band=form.band,
        diversity=form.diversity,
        near=form.near,
        step=form.step,
        texture=form.texture,
    )
    size = None if form.size == "auto" else tuple(map(int, form.size.split("x")))

    def work(models: Models, ticket: Ticket[Shown]) -> Iterator[Shown]:
        photo = photos.read(image, max_pixels=limits.pixels)
        marked, polarity = pictures.openai_mask(
            photo, None if mask is None else pictures.read_mask(mask, max_pixels=limits.pixels)
        )
        if size is not None:
            pictures.check_size(photo, *size, max_pixels=limits.pixels)
        pictures.check_format(photo, form.output_format, opaque=polarity == "alpha")
        kept: list[Completion] = []

        def preview(fill: Completion, step: int, steps: int) -> None:
            wanted = [-(-(number + 1) * steps // form.partial_images) for number in range(form.partial_images)]
            if step in wanted:
                format = form.output_format if form.output_format in pictures.SHOWN else "webp"
                small = pictures.preview(fill.photo, pictures.PARTIAL_SIDE, format=format)
                ticket.put(Shown("partial", small, seed=fill.seed, step=wanted.index(step)))
            ticket.check()

        fills = models[model].stream(
            photo,
            marked,
            replace(options, polarity=polarity, max_memory=service.fill_memory),
            progress=ticket.check,
            preview=preview if form.stream and form.partial_images else None,
        )
        for fill in fills:
            pictures.check_hole(fill)
            done = fill.photo if size is None else pictures.resized(fill.photo, *size)
            whole = pictures.encode(done, format=form.output_format, quality=form.quality)
            small = pictures.preview(done) if form.response_format == "url" else None
            service.metrics.filled(model)
            yield Shown("fill", whole, small, fill.seed, fill.score)
            if form.uncertainty:
                kept.append(fill)
        if form.uncertainty and len(kept) > 1:
            heat = pictures.heat_map(kept)
            yield Shown("uncertainty", heat, heat)

    return work
