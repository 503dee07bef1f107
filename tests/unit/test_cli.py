"""The `lore` command as a person meets it."""

import pytest

from lore_core.cli import EXIT_OK, EXIT_USAGE, VERBS, main


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == EXIT_OK
    printed = capsys.readouterr().out
    assert all(" ".join(verb.words) in printed for verb in VERBS)


def test_an_unknown_verb_is_named_and_the_known_ones_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == EXIT_USAGE
    printed = capsys.readouterr().err
    assert "unknown verb: trian" in printed
    assert "train" in printed


def test_the_version_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == EXIT_OK
    assert capsys.readouterr().out.startswith("lore ")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: "-".join(verb.words))
def test_every_verb_explains_itself(verb: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*verb.words, "--help"])  # type: ignore[attr-defined]
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("usage: lore " + " ".join(verb.words))  # type: ignore[attr-defined]
