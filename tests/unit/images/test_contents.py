"""What a bill of materials says of an image: the packages that its layers hold together."""

from pathlib import Path

from hack.images.contents import Package, packages

STATUS = """Package: ca-certificates
Status: install ok installed
Architecture: all
Version: 20230311
Description: authorities
 Package: a line of a description is no field

Package: removed
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0
"""


def layer(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def about(name: str, version: str) -> dict[str, str]:
    folder = f"opt/lore/venv/lib/python3.11/site-packages/{name}-{version}.dist-info"
    return {f"{folder}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n\nName: of the readme\n"}


def deb(name: str, version: str, arch: str) -> Package:
    return Package("deb", name, version, (("arch", arch), ("distro", "bookworm")))


def test_an_image_holds_what_its_layers_hold_and_the_last_word_on_debian_packages(tmp_path: Path) -> None:
    compiler = "\nPackage: g++\nStatus: install ok installed\nArchitecture: amd64\nVersion: 4:12.2.0-3\n"
    layers = [
        layer(tmp_path / "base", {"var/lib/dpkg/status": STATUS}),
        layer(
            tmp_path / "dependencies", {"var/lib/dpkg/status": STATUS + compiler, **about("Typing_Extensions", "4.15")}
        ),
        layer(tmp_path / "top", about("lore-platform", "0.1.0")),
    ]

    assert packages(layers) == [
        deb("ca-certificates", "20230311", "all"),
        deb("g++", "4:12.2.0-3", "amd64"),
        Package("pypi", "lore-platform", "0.1.0"),
        Package("pypi", "typing-extensions", "4.15"),
    ]
