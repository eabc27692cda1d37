from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from pathlib import Path

import pytest

from manyfill import fetchables, zoo
from manyfill.errors import UnknownModel
from manyfill.zoo import DEFAULT, ZOO, Pretrained, find


def pretrained(name: str) -> Pretrained:
    return Pretrained(
        name=name,
        file=f"{name}.safetensors",
        sha256="0" * 64,
        family="picnet",
        licence="Apache-2.0",
        trained_on="nothing",
        images_seen=0,
        size=0,
    )


THREE = {name: pretrained(name) for name in ("fusion", "pluralistic", "pluralistic-fusion")}


def test_a_model_is_found_by_its_name() -> None:
    assert find("pluralistic", THREE).name == "pluralistic"
    assert find("pluralistic", THREE).path == zoo.MODELS / "pluralistic.safetensors"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("pluralistik", "no model 'pluralistik'. Did you mean 'pluralistic'? All: manyfill models"),
        ("FUSION", "no model 'FUSION'. Did you mean 'fusion'? All: manyfill models"),
        (
            "pluralistic_fusion",
            "no model 'pluralistic_fusion'. Did you mean 'pluralistic-fusion'? All: manyfill models",
        ),
        ("lama", "no model 'lama'. All: manyfill models"),
        ("", "no model ''. All: manyfill models"),
    ],
)
def test_a_name_that_is_not_there_gives_the_nearest_one(given: str, message: str) -> None:
    with pytest.raises(UnknownModel) as error:
        find(given, THREE)
    assert str(error.value) == message


def test_facts_cannot_be_changed_by_accident() -> None:
    with pytest.raises(AttributeError):
        pretrained("fusion").sha256 = "1" * 64  # type: ignore[misc]


def test_the_default_model_is_in_the_zoo() -> None:
    assert DEFAULT in ZOO


@pytest.mark.parametrize("entry", ZOO.values(), ids=ZOO)
def test_every_entry_describes_the_file_that_is_there(entry: Pretrained) -> None:
    assert ZOO[entry.name] is entry
    assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
    data = entry.path.read_bytes()
    assert len(data) == entry.size
    assert hashlib.sha256(data).hexdigest() == entry.sha256
    assert entry.licence and entry.trained_on and entry.images_seen > 0


def test_all_weights_together_stay_small_enough_for_a_repository() -> None:
    assert sum(entry.size for entry in ZOO.values()) <= 90_000_000


def test_auto_is_the_first_preferred_model_that_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MANYFILL_CACHE", str(tmp_path))
    usual = pretrained(DEFAULT)
    best = dataclasses.replace(pretrained("pluralistic-migan"), file=str(tmp_path / "best"), trunk="migan")
    models = {usual.name: usual, best.name: best}
    assert zoo.default(models) == DEFAULT  # nothing is installed: the error will name this one
    best.path.write_bytes(b"")
    assert zoo.default(models) == find("auto", models).name == DEFAULT  # its trunk was not fetched
    for path in fetchables.find("migan").paths:
        path.write_bytes(b"")
    assert zoo.default(models) == find("auto", models).name == best.name
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert zoo.default(models) == DEFAULT  # what reads its trunk is not installed
