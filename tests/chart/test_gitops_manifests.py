"""deploy/kargo, flux and argocd: accepted by the tools' own kinds, and saying what docs/how-to/promote.md promises of them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart.schemas import TEMPLATE, write_definition
from chart.test_chart import conforms
from cluster.fixtures import REPOSITORY

from hack.cluster import tools

PIPELINE = REPOSITORY / "deploy/kargo/pipeline.yaml"
WAVES = REPOSITORY / "deploy/argocd/waves"


def pipeline() -> dict[tuple[str, str], dict[str, Any]]:
    """(kind, name) → object."""
    return {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(PIPELINE.read_text())}


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What kubeconform reads: Kargo's and Flux's kinds, and the one of Argo Rollouts that Kargo's verification runs."""
    folder = tmp_path_factory.mktemp("schemas")
    for module in ("kargo", "flux-source", "flux-kustomize"):
        for file in tools.manifests(module).glob("*.yaml"):
            write_definition(file, folder)
    write_definition(tools.manifests("argo-rollouts") / "analysis-template-crd.yaml", folder)
    return str(folder / TEMPLATE)


def test_kargos_own_definitions_accept_the_pipeline(schemas: str) -> None:
    done = conforms(schemas, list(pipeline().values()))

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(pipeline())} resources found" in done.stdout
    assert "Errors: 0, Skipped: 0" in done.stdout


def test_fluxs_own_definitions_accept_its_files(schemas: str) -> None:
    files = sorted((REPOSITORY / "deploy/flux").glob("*.yaml"))
    objects = [yaml.safe_load(file.read_text()) for file in files]
    done = conforms(schemas, objects)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Errors: 0, Skipped: 0" in done.stdout
    sources = {(item["kind"], item["metadata"]["name"]) for item in objects}
    waves = {item["metadata"]["name"]: item["spec"] for item in objects if item["kind"] == "Kustomization"}
    for wave in waves.values():
        assert (wave["sourceRef"]["kind"], wave["sourceRef"]["name"]) in sources
    production = waves["relevance-production"]
    assert [wave["name"] for wave in production["dependsOn"]] == ["relevance-staging"]
    assert production["healthCheckExprs"] == waves["relevance-staging"]["healthCheckExprs"]
    production["sourceRef"]["nam"] = production["sourceRef"].pop("name")
    assert "nam" in conforms(schemas, objects).stdout


def test_a_misspelt_field_of_the_pipeline_would_be_found(schemas: str) -> None:
    misspelt = pipeline()["Stage", "staging"]
    misspelt["spec"]["verification"]["analysisTemplate"] = misspelt["spec"]["verification"].pop("analysisTemplates")

    assert "analysisTemplate" in conforms(schemas, [misspelt]).stdout


def test_a_stage_gives_its_verification_every_argument_and_no_other() -> None:
    template = pipeline()["AnalysisTemplate", "relevance-verdict"]["spec"]
    verification = pipeline()["Stage", "staging"]["spec"]["verification"]
    open_arguments = {item["name"] for item in template["args"] if len(item) == 1}

    assert verification["analysisTemplates"] == [{"name": "relevance-verdict"}]
    assert {item["name"] for item in verification["args"]} == open_arguments
    used = set(re.findall(r"{{args\.([\w-]+)}}", json.dumps(template["metrics"])))
    assert used == {item["name"] for item in template["args"]}


def test_production_takes_only_what_staging_verified() -> None:
    (wanted,) = pipeline()["Stage", "production"]["spec"]["requestedFreight"]

    assert wanted["sources"] == {"stages": ["staging"]}


def test_a_deployment_is_synced_in_a_wave_after_its_verdicts_and_these_after_their_models(
    tmp_path: Path,
) -> None:
    kinds = ("RelevanceDeployment", "RelevanceEval", "RelevanceModel", "RelevanceTrainJob")
    (tmp_path / "overlay").mkdir()
    shutil.copytree(WAVES, tmp_path / "waves")
    objects = [{"apiVersion": "lore-platform.io/v1alpha1", "kind": kind, "metadata": {"name": "q"}} for kind in kinds]
    (tmp_path / "overlay/all.yaml").write_text(yaml.safe_dump_all(objects))
    kustomization = {"resources": ["all.yaml"], "components": ["../waves"]}
    (tmp_path / "overlay/kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    kustomize = [tools.require("kubectl"), "kustomize", tmp_path / "overlay"]
    built = yaml.safe_load_all(subprocess.run(kustomize, capture_output=True, check=True).stdout)

    wave = "argocd.argoproj.io/sync-wave"
    found = {item["kind"]: item["metadata"].get("annotations", {}).get(wave) for item in built}
    assert found == dict(zip(kinds, ("2", "1", "0", None), strict=True))
