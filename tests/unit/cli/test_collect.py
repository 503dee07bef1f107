"""`lore gc` as a person runs it, on a workspace in a folder and resources that kubectl has saved."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from unit.cli.objects import digest, model

from lore_core.artifacts import ArtifactRef, publish
from lore_core.cli import EXIT_FAILED, EXIT_OK, EXIT_USAGE, main

PATHS = {"kept": "stages/" + "a" * 20 + "/model", "lost": "stages/" + "b" * 20 + "/model"}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Two models, written long ago."""
    folder = tmp_path / "runs"
    for name, path in PATHS.items():
        source = tmp_path / name
        source.mkdir()
        (source / "weights").write_text(name)
        publish(source, ArtifactRef(uri=(folder / path).as_uri()), "model")
    for file in folder.rglob("*"):
        os.utime(file, (0, 0))
    return folder


def saved(tmp_path: Path, *items: dict[str, Any]) -> str:
    file = tmp_path / "resources.json"
    file.write_text(json.dumps({"kind": "List", "items": items}))
    return str(file)


def naming(workspace: Path) -> dict[str, Any]:
    found = model("lore")
    found["spec"]["uri"] = (workspace / PATHS["kept"]).as_uri()
    return found


def there(workspace: Path) -> set[str]:
    return {name for name, path in PATHS.items() if (workspace / path).exists()}


def test_it_shows_what_would_go_and_why_and_changes_nothing(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gc", workspace.as_uri(), "--resources", saved(tmp_path, naming(workspace))]) == EXIT_OK

    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown[1:3]] == ["goes", "stays"]
    assert PATHS["lost"] in shown[1]
    assert shown[1].endswith("nothing names it")
    assert shown[-1].startswith("1 of 2 go, ")
    assert "nothing was deleted" in shown[-1]
    assert there(workspace) == {"kept", "lost"}


def test_with_delete_what_nothing_names_is_gone_and_the_rest_is_whole(workspace: Path, tmp_path: Path) -> None:
    resources = saved(tmp_path, naming(workspace))

    assert main(["gc", workspace.as_uri(), "--resources", resources, "--delete"]) == EXIT_OK

    assert there(workspace) == {"kept"}
    assert (workspace / PATHS["kept"] / "weights").read_text() == "kept"


def test_what_is_younger_than_the_minimum_age_stays(workspace: Path, tmp_path: Path) -> None:
    for file in workspace.rglob("*"):
        os.utime(file)

    assert main(["gc", workspace.as_uri(), "--resources", saved(tmp_path, naming(workspace)), "--delete"]) == EXIT_OK

    assert there(workspace) == {"kept", "lost"}


@pytest.mark.parametrize("age", ["59m", "0h", "3d", "-2h", ""])
def test_an_age_that_protects_nothing_is_refused(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], age: str
) -> None:
    words = [
        "gc",
        workspace.as_uri(),
        "--resources",
        saved(tmp_path, naming(workspace)),
        f"--min-age={age}",
        "--delete",
    ]

    assert main(words) == EXIT_USAGE
    assert "at least 1h" in capsys.readouterr().err
    assert there(workspace) == {"kept", "lost"}


def test_where_no_resource_is_found_nothing_goes(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the wrong cluster, or of one that was lost."""
    elsewhere = {"kind": "ConfigMap", "data": {"digest": digest("c")}}

    assert main(["gc", workspace.as_uri(), "--resources", saved(tmp_path, elsewhere), "--delete"]) == EXIT_FAILED
    assert "is this the right cluster?" in capsys.readouterr().err
    assert there(workspace) == {"kept", "lost"}


def test_a_file_that_is_not_kubectls_is_named(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.json"
    file.write_text("[]")

    assert main(["gc", workspace.as_uri(), "--resources", str(file)]) == EXIT_FAILED
    assert f"{file}: not what kubectl get --output=json prints" in capsys.readouterr().err


def test_for_programs_everything_is_in_one_document(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workspace / "notes.txt").write_text("mine")

    main(["gc", workspace.as_uri(), "--resources", saved(tmp_path, naming(workspace)), "-o", "json"])

    told = json.loads(capsys.readouterr().out)
    assert {item["path"]: item["goes"] for item in told["items"]} == {PATHS["kept"]: False, PATHS["lost"]: True}
    assert told["leftAlone"] == {"notes.txt": 4}
