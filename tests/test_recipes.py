from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from manyfill import masks
from manyfill.errors import UnknownModel
from manyfill.nets import families
from manyfill.nets.dfnet import DFNetConfig
from manyfill.nets.perceptual import FEATURES
from manyfill.objectives import DualPath, InstanceBlind
from manyfill.recipes import RECIPES, Recipe, find, find_all


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_is_found_by_its_name(name: str) -> None:
    assert find(name).name == name


def test_a_name_nearly_right_gets_a_hint() -> None:
    with pytest.raises(UnknownModel, match=r"no recipe 'picnet-randon'\. Did you mean 'picnet-random'\?"):
        find("picnet-randon")
    with pytest.raises(UnknownModel, match=r"There are: .*tiny.*file\.py:variable"):
        find("zzz")


def test_a_recipe_of_ones_own_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "my_runs.py"
    file.write_text(
        "import dataclasses\nfrom manyfill.recipes import RECIPES\n"
        "mine = dataclasses.replace(RECIPES['tiny'], name='mine', lr=0.5)\nnumber = 3\n"
    )
    assert (find(f"{file}:mine").name, find(f"{file}:mine").lr) == ("mine", 0.5)
    for variable in ("number", "absent"):
        with pytest.raises(UnknownModel, match=f"no Recipe named '{variable}'"):
            find(f"{file}:{variable}")
    with pytest.raises(UnknownModel, match="there is no recipe file"):
        find(f"{tmp_path / 'other.py'}:mine")


def test_a_recipe_file_may_hold_dataclasses_under_postponed_annotations(tmp_path: Path) -> None:
    file = tmp_path / "their_runs.py"
    file.write_text(
        "from __future__ import annotations\nfrom dataclasses import dataclass, replace\nfrom typing import ClassVar\n"
        "from manyfill.objectives import DualPath\nfrom manyfill.recipes import RECIPES\n"
        "@dataclass(frozen=True, kw_only=True)\nclass Ours(DualPath):\n    extra: float = 2.0\n"
        "    n: ClassVar[int] = 1\n"
        "mine = replace(RECIPES['tiny'], objective=Ours())\n"
    )
    assert find(f"{file}:mine").objective.extra == 2.0  # type: ignore[union-attr]
    assert find_all(f"{file}:mine")[0].name == "tiny"


def test_a_chain_is_found_by_its_name() -> None:
    assert [stage.name for stage in find_all("open-flagship")] == ["open-start", "open-pluralistic-fusion"]
    assert [stage.name for stage in find_all("tiny")] == ["tiny"]
    with pytest.raises(UnknownModel, match=r"Did you mean 'open-flagship'"):
        find_all("open-flagshipp")


def test_a_mistake_in_a_recipe_file_is_the_users_and_is_named(tmp_path: Path) -> None:
    file = tmp_path / "my_runs.py"
    for text, message in [
        ("import dataclasses\nfrom manyfill.recipes import RECIPES\n"
         "mine = dataclasses.replace(RECIPES['tiny'], rate=0.5)\n", "unexpected keyword argument 'rate'"),
        ("mine = (\n", "SyntaxError"),
    ]:  # fmt: skip
        file.write_text(text)
        with pytest.raises(UnknownModel, match=f"my_runs.py cannot be run: .*{message}"):
            find(f"{file}:mine")


def test_a_recipe_tells_which_objective_and_network_it_has() -> None:
    rivals = [replace(RECIPES["tiny"], objective=objective()).described() for objective in (DualPath, InstanceBlind)]
    assert [recipe["objective"]["kind"] for recipe in rivals] == ["DualPath", "InstanceBlind"]
    assert rivals[0]["net"]["kind"] == "PICNetConfig" and rivals[0]["net"]["width"] == 4
    assert set(rivals[0]) == {field.name for field in dataclasses.fields(RECIPES["tiny"])}
    assert json.loads(json.dumps(rivals[0])) == rivals[0]


@pytest.mark.parametrize(
    ("name", "squeeze", "turned"),
    [
        ("picnet-random", 266 / 256, 3.0),
        ("picnet-center", 266 / 256, 3.0),
        ("dfnet-places2", 1, 0),
        ("dfnet-celeba", 1, 0),
    ],
)
def test_a_published_recipe_changes_no_colours(name: str, squeeze: float, turned: float) -> None:
    augment = RECIPES[name].augment
    assert (augment.exposure, augment.contrast, augment.colour, augment.saturation) == (0, 0, 0, 0)
    assert (augment.squeeze, augment.rotate, augment.flip, augment.flip_vertical) == (squeeze, turned, 0.5, 0)
    assert augment.rotate_share == (1.0 if turned else 0.0)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_can_be_run(name: str) -> None:
    recipe = RECIPES[name]
    with torch.device("meta"):
        net = next(kind for config, kind in families().values() if isinstance(recipe.net, config))(recipe.net)
    assert recipe.size % net.multiple == 0
    assert set(recipe.masks) <= set(masks.KINDS)
    assert recipe.features is None or recipe.features in FEATURES
    assert recipe.schedule in ("constant", "cosine", "step") and recipe.precision in ("bf16", "fp32")
    assert recipe.source
    if recipe.objective.critics:
        assert recipe.size // 2**recipe.critic.levels - 2 >= 1, "the critic has no score to give"
    needs_features = {"perceptual", "style", "feature_rec", "feature_mean", "style_gen", "feature"}
    if any(recipe.objective.weights.get(term) for term in needs_features):
        assert recipe.features is not None


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_can_be_written_down(name: str) -> None:
    text = json.dumps(dataclasses.asdict(RECIPES[name]))
    assert json.loads(text)["name"] == name


def test_a_recipe_is_not_changed_by_accident() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECIPES["tiny"].lr = 1.0  # type: ignore[misc]
    assert isinstance(dataclasses.replace(RECIPES["tiny"], lr=1.0), Recipe)


def test_the_published_numbers() -> None:
    picnet, dfnet = RECIPES["picnet-random"], RECIPES["dfnet-places2"]
    assert (picnet.lr, picnet.betas, picnet.size, picnet.weight_decay) == (1e-4, (0.0, 0.999), 256, 0.0)
    assert picnet.objective.weights == {
        **dict.fromkeys(("kl_rec", "kl_gen"), 80.0),
        **dict.fromkeys(("appearance_rec", "appearance_gen"), 20.0),
        **dict.fromkeys(("adversarial_rec", "adversarial_gen"), 1.0),
    }
    assert (dfnet.lr, dfnet.size, dfnet.images) == (2e-4, 512, 20 * 37_500 * 48)
    assert dfnet.objective.weights == {"reconstruction": 6.0, "perceptual": 0.1, "style": 240.0, "tv": 0.1}
    assert (dfnet.net, dfnet.features) == (DFNetConfig(), "vgg16-pools")
    same = dataclasses.replace(RECIPES["picnet-center"], name=picnet.name, source=picnet.source, masks=picnet.masks)
    assert same == picnet and RECIPES["picnet-center"].masks == {"center": 1.0}
    celeba = RECIPES["dfnet-celeba"]
    assert (celeba.size, celeba.net, celeba.lr) == (256, DFNetConfig(size=256), 2e-4)
    assert (celeba.objective, celeba.features) == (dfnet.objective, dfnet.features)
