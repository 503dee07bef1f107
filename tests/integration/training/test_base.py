"""`lore model pretrain` and `lore model check`."""

import json
from pathlib import Path

import pytest

from lore_core.artifacts import ArtifactRef, open_store
from lore_core.benchmark.corpus import catalogue, facts
from lore_core.benchmark.lexicon import vocabulary
from lore_core.cli import main
from lore_core.jobs import RuleMode
from lore_core.prompts import ModelKit, PromptLayout, TextEncoder, build_contract
from lore_core.prompts.templates import LABEL_TOKENS
from lore_core.records import write_pairs
from lore_core.training.base import BaseSettings, small_model, write_tokenizer
from lore_core.training.export import write_model

from .site import WORLD


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join([*facts(), *catalogue(WORLD.offers("train"))]))
    return path


def pretrain(corpus: Path, out: Path, steps: int = 3) -> int:
    return main(["model", "pretrain", "--corpus", str(corpus), "--out", str(out), "--steps", str(steps)])


def digest(folder: Path) -> str:
    return open_store(ArtifactRef(uri=folder.as_uri())).manifest().digest


def test_equal_inputs_give_an_equal_base_and_are_trained_once(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(corpus, tmp_path / "one") == pretrain(corpus, tmp_path / "two") == 0
    assert digest(tmp_path / "one") == digest(tmp_path / "two")
    capsys.readouterr()
    assert pretrain(corpus, tmp_path / "one") == 0
    assert capsys.readouterr().out == f"reused {tmp_path / 'one'} {digest(tmp_path / 'one')}\n"


def test_a_base_of_other_inputs_is_never_taken_for_this_one(
    tmp_path: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pretrain(corpus, tmp_path / "base") == 0
    assert pretrain(corpus, tmp_path / "base", steps=4) == 1
    assert "holds a base model of other inputs; choose another folder or remove it" in capsys.readouterr().err


def test_a_word_of_the_corpus_is_one_token_and_the_labels_are_control_tokens(tmp_path: Path, corpus: Path) -> None:
    assert pretrain(corpus, tmp_path / "base") == 0
    encoder = TextEncoder.load(tmp_path / "base")
    assert all(len(encoder.encode(word)) == 1 for word in ("crimson", "64gb", "x10", "near"))
    assert all(encoder.has_control(token) for token in LABEL_TOKENS)


def checked(tmp_path: Path, *options: str) -> int:
    """`lore model check` on a model that finds every token equally likely."""
    import torch

    settings = BaseSettings(layers=1, width=64, heads=2, feed_forward=64)
    encoder = write_tokenizer(vocabulary(), tmp_path)
    model = small_model(settings, encoder)
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(torch.zeros(encoder.size, settings.width))
    kit = ModelKit(build_contract(encoder, PromptLayout.LABEL_FIRST, RuleMode.NONE, 96), encoder)
    write_model(model, model.state_dict(), kit, tmp_path, tmp_path / "model")
    write_pairs(tmp_path / "pairs.jsonl", list(WORLD.pairs("tune", "general"))[:8])
    where = ["--model", str(tmp_path / "model"), "--pairs", str(tmp_path / "pairs.jsonl")]
    return main(["model", "check", *where, *options])


def test_a_model_that_says_other_things_than_labels_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(tmp_path) == 1
    found = capsys.readouterr()
    assert "mass outside the labels: mean 0.98" in found.out
    assert "at most 5% may; train longer" in found.err


def test_what_was_found_can_be_read_by_a_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(tmp_path, "--output=json") == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["layout"], found["prompts"], len(found["labelTokens"])) == ("LabelFirst", 8, 4)
    assert found["meanOutside"] > 0.98
    assert "train longer" in found["problems"][0]
