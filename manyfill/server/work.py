"""The work of a request, for the queue: what it does with the photo, and the pictures that it yields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from manyfill.completer import Completion
from manyfill.completer.merging import merge
from manyfill.errors import TooLarge
from manyfill.options import FillOptions, margins
from manyfill.photos import Photo
from manyfill.server import pictures
from manyfill.server.errors import Refusal
from manyfill.server.forms import EditForm, Parts, PictureForm
from manyfill.server.pace import Clock
from manyfill.server.pictures import Encoded, Finished
from manyfill.server.queue import Ticket, Work
from manyfill.server.service import Models, Service
from manyfill.server.spool import Spool


@dataclass(frozen=True)
class Shown:
    """A picture on its way to the client."""

    kind: Literal["partial", "fill", "uncertainty"]
    whole: Encoded | Finished
    file: Encoded | Spool | None = None  # what is sent
    small: Encoded | None = None  # instead, where it is to be fetched by URL
    seed: int | None = None
    score: float | None = None
    step: int = 0


@dataclass(frozen=True)
class Notice:
    """How far the work is, for a client that asked."""

    stage: Literal["queued", "opened", "fill", "rank", "texture"]
    done: int = 0
    total: int = 0
    seconds: float | None = None  # that are left, as far as can be known
    ahead: int = 0  # requests that come before this one
    photo: Finished | None = None  # that was opened, for requests that go on with it


Source = bytes | Completion  # a file that was sent, or a result that the server still has


def sent_or_kept(parts: Parts, result: str | None, service: Service, *names: str, wanted: str) -> Source:
    """The file under one of these names, or the result that is named instead. Raises Refusal 400 and 404."""
    if result is not None and parts.any(*names) is not None:
        raise Refusal(
            400, f"Both '{names[0]}' and '{names[0]}_result' were sent; send one.",
            code="invalid_value", param=f"{names[0]}_result",
        )  # fmt: skip
    if result is not None:
        return service.results.fill(result, param=f"{names[0]}_result")
    return parts.one(*names, wanted=wanted)


def _options(form: EditForm, seed: int) -> FillOptions:
    """Raises ManyfillError for what cannot be meant."""
    return FillOptions(
        n=form.n,
        seed=seed,
        grow=form.grow,
        band=form.band,
        diversity=form.diversity,
        near=form.near,
        step=form.step,
        texture=form.texture,
        strict=form.strict,
        extend=form.extend,
        extend_to=form.extend_to,
    )


def edit(
    form: EditForm, image: Source, mask: bytes | None, seed: int, model: str, service: Service
) -> Work[Models, Shown | Notice]:
    """The work of one edit."""
    limits = service.settings.limits
    options = _options(form, seed)
    size = None if form.size == "auto" else (int(form.size.split("x")[0]), int(form.size.split("x")[1]))

    def work(models: Models, ticket: Ticket[Shown | Notice]) -> Iterator[Shown | Notice]:
        ceiling, room = service.fill_ceiling, service.opening
        opened = service.opened(image, ticket, room)
        if form.progress:
            yield Notice("opened", photo=Finished(opened) if isinstance(image, bytes) else None)
        photo = opened.photo
        marked: Photo | None = None
        polarity = "white"
        if mask is not None or photo.alpha is not None or not options.extends:
            sent_mask = None if mask is None else service.mask(mask, ticket, room)
            marked, polarity = pictures.openai_mask(photo, sent_mask)
        pictures.check_canvas(photo, margins(options, photo.height, photo.width), max_pixels=limits.pixels)
        if size is not None:
            pictures.check_size(photo, *size, max_pixels=limits.pixels)
        pictures.check_format(photo, form.output_format, opaque=polarity == "alpha")
        pictures.check_room(photo, form.output_format, form.quality, service.shares.fill)
        kept: list[Completion] = []

        def preview(fill: Completion, step: int, steps: int) -> None:
            wanted = [-(-(number + 1) * steps // form.partial_images) for number in range(form.partial_images)]
            if step in wanted:
                format = form.output_format if form.output_format in pictures.SHOWN else "webp"
                small = pictures.preview_of(fill, pictures.PARTIAL_SIDE, format=format)
                ticket.put(Shown("partial", small, small, seed=fill.seed, step=wanted.index(step)))
            ticket.check()

        clock = Clock(service.pace, model, form.n)

        def progress(stage: str, done: int, total: int) -> None:
            seconds = clock.left(stage, done, total)
            if form.progress:
                ticket.put(Notice(stage, done, total, seconds))  # type: ignore[arg-type]
            ticket.check()

        fills = models[model].stream(
            photo,
            marked,
            replace(options, polarity=polarity, max_memory=ceiling),
            progress=progress,
            preview=preview if form.stream and form.partial_images else None,
            check=ticket.check,
            written=None if form.response_format == "url" else form.output_format,
        )
        try:
            for fill in fills:
                pictures.check_hole(fill)
                service.metrics.filled(model)
                whole = Finished(fill, form.output_format, form.quality, size)
                yield shown(whole, form, service, ticket)
                if form.uncertainty:
                    kept.append(fill)
        except TooLarge as error:
            raise service.in_its_own_terms(error, ceiling) from None
        if form.uncertainty and len(kept) > 1:
            heat = pictures.heat_map(kept, check=ticket.check)
            yield Shown("uncertainty", heat, heat, heat if form.response_format == "url" else None)

    return work


def shown(whole: Finished, form: PictureForm, service: Service, ticket: Ticket[Any]) -> Shown:
    """A fill as it is asked for: written now, or when somebody comes for it."""
    seed, score = whole.fill.seed, whole.fill.score
    if form.response_format == "url":
        return Shown("fill", whole, small=whole.preview(), seed=seed, score=score)
    return Shown("fill", whole, service.written(whole, ticket), seed=seed, score=score)


def merging(form: PictureForm, image: Source, other: Source, region: bytes, service: Service) -> Work[Models, Shown]:
    """The work of taking a region of another fill."""

    def work(_: Models, ticket: Ticket[Shown]) -> Iterator[Shown]:
        room = service.shares.desk
        base, second = service.opened(image, ticket, room), service.opened(other, ticket, room)
        marked = pictures.region_of(service.mask(region, ticket, room), base.source)
        pictures.check_format(base.source, form.output_format, opaque=False)
        pictures.check_room(base.source, form.output_format, form.quality, room)
        merged = Finished(merge(base, second, marked, check=ticket.check), form.output_format, form.quality)
        done = shown(merged, form, service, ticket)
        yield replace(done, seed=None, score=None)

    return work


def previewing(image: bytes, service: Service) -> Work[Models, Shown]:
    """The work of showing a photo small; its size stays the photo's own."""

    def work(_: Models, ticket: Ticket[Shown]) -> Iterator[Shown]:
        photo = service.opened(image, ticket, service.opening).source
        small = replace(pictures.preview(photo), width=photo.width, height=photo.height)
        yield Shown("fill", small, small)

    return work


def writing(whole: Finished, service: Service) -> Work[Models, Spool]:
    """The work of writing a result's file."""

    def work(_: Models, ticket: Ticket[Spool]) -> Iterator[Spool]:
        pictures.check_room(whole.fill.source, whole.asked, whole.quality, service.shares.desk)
        yield service.written(whole, ticket)

    return work
