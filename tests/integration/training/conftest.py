import pytest

from lore_core.artifacts import ArtifactRef
from lore_core.prompts import PromptLayout

from .site import Site
from .tuned import tuned


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module")
def thinker(site: Site) -> ArtifactRef:
    return tuned(site, PromptLayout.THINK_FIRST)


@pytest.fixture(scope="module")
def labeller(site: Site) -> ArtifactRef:
    return tuned(site, PromptLayout.LABEL_FIRST)
