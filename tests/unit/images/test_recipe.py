import shutil
from pathlib import Path

import pytest

from hack.images.errors import ImageError
from hack.images.recipe import COMPONENTS, chain, split_lock

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what images are made from."""
    for folder in ("images", "requirements", "lore_core", "operator"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def keys(component: str, root: Path) -> dict[str, str]:
    return {layer.name: layer.key for layer in chain(component, root)}


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in after if before[name] != after[name]}


def test_trainer_and_server_share_one_torch_layer():
    assert keys("trainer", ROOT)["lore-torch"] == keys("server", ROOT)["lore-torch"]


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_change_of_code_rebuilds_only_the_top_layer(tree, component):
    before = keys(component, tree)
    (tree / "lore_core" / "__init__.py").write_text("# changed\n")

    assert changed(before, keys(component, tree)) == {f"lore-{component}"}


def test_a_change_of_the_operator_leaves_the_other_images_alone(tree):
    before = {component: keys(component, tree) for component in COMPONENTS}
    (tree / "operator" / "lore_operator" / "__init__.py").write_text("# changed\n")

    assert [name for name in COMPONENTS if changed(before[name], keys(name, tree))] == ["operator"]


def test_a_lock_of_one_image_leaves_the_torch_layer_alone(tree):
    before = keys("trainer", tree)
    lock = tree / "requirements" / "training.txt"
    lock.write_text(lock.read_text().replace("safetensors==", "safetensors==0+", 1))

    assert changed(before, keys("trainer", tree)) == {"lore-trainer-dependencies", "lore-trainer"}


def test_editing_the_last_stage_keeps_the_dependencies(tree):
    before = keys("router", tree)
    dockerfile = tree / "images" / "router" / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + "LABEL example=changed\n")

    assert changed(before, keys("router", tree)) == {"lore-router"}


def test_tool_settings_do_not_count(tree):
    before = keys("operator", tree)
    (tree / "pyproject.toml").write_text((tree / "pyproject.toml").read_text() + "\n[tool.example]\nsetting = 1\n")

    assert not changed(before, keys("operator", tree))


def test_a_lock_is_split_without_loss_and_comments_do_not_count():
    lock = "numpy==2.0 \\\n    --hash=sha256:aa\n    # via torch\ntorch==2.1 \\\n    --hash=sha256:bb\n    # via lore\n"

    heavy, light = split_lock(lock)

    assert heavy == "torch==2.1 \\\n    --hash=sha256:bb\n"
    assert light == "numpy==2.0 \\\n    --hash=sha256:aa\n"


def test_an_unknown_image_is_refused_with_the_known_ones():
    with pytest.raises(ImageError, match="gateway: no such image; known: operator, router, trainer, server"):
        chain("gateway", ROOT)
