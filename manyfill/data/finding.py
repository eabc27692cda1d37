"""Where the photos of folders, tar shards and single files are."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from manyfill import photos as files
from manyfill.data.photoset import PhotoSet
from manyfill.errors import BadImage
from manyfill.files import open_regular
from manyfill.places import Place, Places

SUFFIXES = tuple(files.SUFFIXES)


def open_photos(
    sources: Path | str | Sequence[Path | str], *, short_side: int | None = None, cache_bytes: int = 4 << 30
) -> PhotoSet:
    """Find the photos of folders (recursive), .tar shards (webdataset layout: KEY.jpg, KEY.json) and single files.

    The order is sorted by name within a source, sources as given. Tar files inside a folder count, too.
    `short_side` reduces larger photos while they are read, which saves time and RAM: use size / smallest scale.
    `cache_bytes` bounds the RAM for decoded photos; what does not fit is decoded again each time. Raises BadImage
    when nothing is found.
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    places = Places()
    for source in sources:
        path = Path(source)
        if path.is_dir():
            walked: set[str] = set()
            for folder, folders, files in os.walk(path, followlinks=True):
                folders.sort()
                if os.path.realpath(folder) in walked:  # a link back up would never end
                    folders.clear()
                    continue
                walked.add(os.path.realpath(folder))
                for file in sorted(files):
                    if file.startswith("."):
                        continue
                    inner = Path(folder, file)
                    if inner.suffix.lower() == ".tar":
                        places.extend(_index_tar(inner))
                    elif inner.suffix.lower() in SUFFIXES:
                        places.extend([Place(str(inner), str(inner))])
        elif not path.exists():
            raise BadImage(f"no photos: {path} does not exist. Give a folder of photos or a .tar shard.")
        elif path.suffix.lower() == ".tar":
            places.extend(_index_tar(path))
        elif path.suffix.lower() in SUFFIXES:
            places.extend([Place(str(path), str(path))])
        else:
            raise BadImage(f"{path} is neither a folder nor a .tar shard nor a photo ({' '.join(SUFFIXES)}).")
    if len(places) and all(place.broken for place in places):
        raise BadImage(str(places[0].broken))
    if not len(places):
        where = ", ".join(str(source) for source in sources) or "an empty list of sources"
        raise BadImage(
            f"no photos found in {where}: looked for {' '.join(SUFFIXES)} in folders, their subfolders and .tar shards."
        )
    return PhotoSet(places, short_side=short_side, cache_bytes=cache_bytes)


def members_of(path: Path) -> tuple[list[tuple[str, int, int]], str | None]:
    """The files in an uncompressed tar: name, place and bytes; and what is wrong behind the last of them, or None.

    Each lies in the tar, whatever its header says. Links, devices and files with gaps are passed over.
    """
    found: list[tuple[str, int, int]] = []
    try:
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            length = os.fstat(file.fileno()).st_size
            for member in tar:
                if not member.isreg() or member.issparse():
                    continue
                if member.size < 0 or not 0 <= member.offset_data <= length - member.size:
                    raise tarfile.ReadError("damaged partway through")
                found.append((member.name, member.offset_data, member.size))
            file.seek(tar.offset)  # where the next header would be: tarfile takes any damage there for the end
            if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
                raise tarfile.ReadError("damaged partway through")
    except RecursionError:  # headers that only say how the next one is to be read, thousands of them
        return found, "damaged partway through"
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
        return found, str(getattr(error, "strerror", None) or error)
    return found, None


def _index_tar(path: Path) -> list[Place]:
    """Find the photos of an uncompressed tar by offset; of a damaged one those in front of the damage.

    In webdataset's layout a sample's fields are what follows the first dot (KEY.jpg, KEY.mask.png): the photo is
    KEY.jpg. A name with dots, as an ordinary folder may have, counts where no such photo stands beside it.
    """
    members, damage = members_of(path)
    places: list[Place] = []
    if damage is not None:  # skipped and listed, as a damaged photo is
        rest = f"; the {len(members)} files in front of it are taken" if members else ""
        places.append(
            Place(str(path), str(path), broken=f"{path} cannot be read as an uncompressed .tar: {damage}{rest}")
        )

    def split(name: str) -> tuple[str, str]:
        folder, _, base = name.rpartition("/")
        key, _, field = base.partition(".")
        return f"{folder}/{key}", f".{field.lower()}"

    keys = {split(name)[0] for name, _, _ in members if split(name)[1] in SUFFIXES}
    for name, offset, size in sorted(members):
        key, field = split(name)
        dotted = Path(name).suffix.lower() in SUFFIXES and key not in keys
        if (field in SUFFIXES or dotted) and not name.rpartition("/")[2].startswith("."):
            places.append(Place(f"{path}/{name}", str(path), offset, size))
    return places
