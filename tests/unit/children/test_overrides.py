"""podTemplate: what a user may change about a pod, and what is refused with the field named."""

from typing import Any

import pytest

from lore_operator.children.overrides import InvalidPodTemplate, merged

BASE: dict[str, Any] = {
    "metadata": {"labels": {"lore-platform.io/kind": "RelevanceTrainJob"}, "annotations": {}},
    "spec": {
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "lore",
                "command": ["lore"],
                "env": [{"name": "HOME", "value": "/tmp"}, {"name": "LORE_REPORT", "value": "a/b"}],
                "resources": {"limits": {"memory": "1Gi"}},
                "volumeMounts": [{"name": "lore-tmp", "mountPath": "/tmp"}],
            }
        ],
        "volumes": [{"name": "lore-tmp", "emptyDir": {}}],
    },
}


def main(**fields: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "lore", **fields}]}}


def test_without_overrides_the_template_is_as_rendered() -> None:
    assert merged(BASE, None) == BASE


def test_containers_and_their_variables_merge_by_name() -> None:
    found = merged(BASE, main(env=[{"name": "HOME", "value": "/home"}, {"name": "NEW", "value": "1"}]))

    (container,) = found["spec"]["containers"]
    values = {item["name"]: item["value"] for item in container["env"]}
    assert values == {"HOME": "/home", "LORE_REPORT": "a/b", "NEW": "1"}
    assert container["command"] == ["lore"]


def test_sidecars_volumes_and_tolerations_are_added() -> None:
    over = {
        "spec": {
            "containers": [{"name": "agent", "image": "agent"}],
            "volumes": [{"name": "certs", "configMap": {"name": "ca"}}],
            "tolerations": [{"operator": "Exists"}],
        }
    }
    spec = merged(BASE, over)["spec"]

    assert [item["name"] for item in spec["containers"]] == ["lore", "agent"]
    assert [item["name"] for item in spec["volumes"]] == ["lore-tmp", "certs"]
    assert spec["tolerations"] == [{"operator": "Exists"}]


def test_the_rendered_template_itself_is_not_changed() -> None:
    before = repr(BASE)
    merged(BASE, main(resources={"limits": {"memory": "2Gi"}}))

    assert repr(BASE) == before


@pytest.mark.parametrize(
    ("overrides", "field"),
    [
        (main(command=["sh"]), "spec.containers[lore].command"),
        (main(args=["-c"]), "spec.containers[lore].args"),
        (main(image="mine"), "spec.containers[lore].image"),
        (main(env=[{"name": "LORE_REPORT", "value": "x"}]), "spec.containers[lore].env[LORE_REPORT]"),
        (main(volumeMounts=[{"name": "x", "mountPath": "/etc/lore"}]), "volumeMounts[/etc/lore]"),
        (main(volumeMounts=[{"name": "x", "mountPath": "/etc/lore/sub"}]), "volumeMounts[/etc/lore/sub]"),
        ({"spec": {"volumes": [{"name": "lore-config", "emptyDir": {}}]}}, "spec.volumes[0].name"),
        ({"spec": {"restartPolicy": "Always"}}, "spec.restartPolicy"),
        ({"spec": {"serviceAccountName": "admin"}}, "spec.serviceAccountName"),
        ({"spec": {"initContainers": [{"name": "lore"}]}}, "spec.initContainers[lore]"),
        ({"spec": {"containers": [{"image": "x"}]}}, "spec.containers"),
        ({"spec": {"containers": "x"}}, "spec.containers"),
        ({"spec": {"containers": [{"name": "lore", "env": {"HOME": "x"}}]}}, "spec.containers[lore].env"),
        ({"spec": {"containers": [{"name": "lore", "resources": "much"}]}}, "spec.containers[lore].resources"),
        ({"spec": []}, "spec"),
        ({"metadata": {"name": "x"}}, "metadata.name"),
        ({"metadata": {"labels": {"lore-platform.io/kind": "x"}}}, "metadata.labels.lore-platform.io/kind"),
        ({"status": {}}, "status"),
    ],
)
def test_what_the_platform_answers_for_is_refused_by_name(overrides: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidPodTemplate) as caught:
        merged(BASE, overrides)

    assert f"podTemplate.{field}" in str(caught.value) or field in str(caught.value)
