"""`make sbom-images`: a CycloneDX bill of materials of each built image, its Debian and its Python packages.

Runs with the interpreter of requirements/audit.txt, which has CycloneDX's own library.
"""

import argparse
import sys
from pathlib import Path
from typing import Final
from uuid import NAMESPACE_OID, uuid5

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from hack.images.buildah import storage
from hack.images.contents import Package, packages
from hack.images.errors import ImageError
from hack.images.recipe import COMPONENTS, chain
from hack.images.store import read_image

_ROOT: Final = Path(__file__).resolve().parents[2]


def bill(name: str, digest: str, held: list[Package]) -> str:
    """The document as JSON. `digest`: of the image's configuration, which names its layers."""
    bom = Bom(serial_number=uuid5(NAMESPACE_OID, digest))
    bom.metadata.component = Component(type=ComponentType.CONTAINER, name=name, version=digest)
    for package in held:
        bom.components.add(_component(package))
    bom.register_dependency(bom.metadata.component, bom.components)
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return text


def _component(package: Package) -> Component:
    namespace = "debian" if package.type == "deb" else None
    purl = PackageURL(package.type, namespace, package.name, package.version, dict(package.qualifiers))
    return Component(
        type=ComponentType.LIBRARY, name=package.name, version=package.version, purl=purl, bom_ref=str(purl)
    )


def main() -> int:
    """0, or 1 where an image is not built."""
    parser = argparse.ArgumentParser(description="bills of materials of the built images")
    parser.add_argument("--into", type=Path, required=True, help="folder to write to")
    parser.add_argument("components", nargs="*", default=COMPONENTS, help=f"default: {' '.join(COMPONENTS)}")
    args = parser.parse_args()
    args.into.mkdir(parents=True, exist_ok=True)
    try:
        for component in args.components:
            image = read_image(storage(), chain(component, _ROOT)[-1].reference)
            held = packages([storage() / "overlay" / layer.identity / "diff" for layer in image.layers])
            (args.into / f"lore-{component}.cdx.json").write_text(bill(f"lore-{component}", image.config_digest, held))
    except ImageError as error:
        print(f"sbom: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
