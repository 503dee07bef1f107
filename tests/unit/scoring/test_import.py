"""`lore model import`: a folder of a model made elsewhere becomes an artifact that every verb can ask."""

from pathlib import Path

import pytest
from unit.prompts.test_pictures import byte_tokenizer

from lore_core.artifacts import ArtifactRef, verify
from lore_core.cli import main
from lore_core.jobs import ServingProfile
from lore_core.prompts import CONTRACT_NAME, ModelKit
from lore_core.scoring.server import LocalServer, ServerError
from lore_core.scoring.wire import CHAT_TEMPLATE, CHAT_TEMPLATE_NAME


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "model"
    found.mkdir()
    (found / "tokenizer.json").write_bytes(byte_tokenizer())
    (found / "model.safetensors").write_bytes(b"weights")
    return found


def imported(folder: Path, *words: str) -> tuple[int, Path]:
    out = folder.parent / "out"
    return main(["model", "import", "--model", str(folder), "--out", f"file://{out}", *words]), out


def test_a_model_is_published_with_a_contract_for_its_tokenizer(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _ = imported(folder, "--max-prompt-tokens", "200")
    uri, digest = capsys.readouterr().out.split()
    manifest = verify(ArtifactRef(uri=uri, digest=digest), tmp_path / "again")

    kit = ModelKit.load(tmp_path / "again")
    assert (status, manifest.kind, manifest.metadata["role"]) == (0, "model", "Generative")
    assert (kit.contract.truncation.max_prompt_tokens, kit.contract.image_tokens) == (200, None)
    assert not (folder / CHAT_TEMPLATE_NAME).exists()


def test_a_model_that_is_shown_pictures_gets_the_template_that_leaves_its_prompts_alone(folder: Path) -> None:
    (folder / CHAT_TEMPLATE_NAME).write_text("{{ bos_token }} the maker's own")

    status, out = imported(folder, "--image-tokens", "64")

    assert (status, ModelKit.load(out).contract.image_tokens) == (0, 64)
    assert (out / CHAT_TEMPLATE_NAME).read_text() == CHAT_TEMPLATE


def test_a_model_with_another_chat_template_is_not_asked_about_pictures(folder: Path) -> None:
    imported(folder, "--image-tokens", "64")
    (folder / CHAT_TEMPLATE_NAME).write_text("{{ bos_token }} the maker's own")

    with (
        pytest.raises(ServerError, match=r"chat_template\.jinja: must be the template that"),
        LocalServer(folder, ServingProfile(image="local", max_model_len=4096)),
    ):
        pass


def test_a_contract_that_is_there_is_not_written_over(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    imported(folder)
    status, _ = imported(folder)

    assert status == 1
    assert "lore-contract.json: is there already; remove it to write another" in capsys.readouterr().err


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()

    assert imported(tmp_path / "model")[0] == 1
    assert "tokenizer.json" in capsys.readouterr().err


def test_a_two_tower_whose_head_nobody_trained_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out = imported(folder, "--layout", "TwoTower")
    assert (status, out.exists(), (folder / CONTRACT_NAME).exists()) == (1, False, False)
    assert "--layout: TwoTower has a head that is trained with the encoder; train it by" in capsys.readouterr().err
