"""What a built image holds: its Debian packages and its Python packages, from the layers in the store."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_STATUS: Final = "var/lib/dpkg/status"
_INSTALLED: Final = re.compile(r"^Status: .* installed$", re.MULTILINE)
_FIELD: Final = re.compile(r"^(Package|Version|Architecture): (\S+)$", re.MULTILINE)
_ABOUT: Final = re.compile(r"^(Name|Version): (\S+)\s*$", re.MULTILINE)


class Package(NamedTuple):
    """One package; `type` and `qualifiers` as in a package URL."""

    type: str
    name: str
    version: str
    qualifiers: tuple[tuple[str, str], ...] = ()


def packages(folders: Sequence[Path]) -> list[Package]:
    """What the layers' folders, lowest first, hold together. The project's images only ever add packages."""
    status = next((text for folder in reversed(folders) if (text := _text(folder / _STATUS))), "")
    about = {
        path.parent.name: path
        for folder in folders
        for path in folder.glob("opt/lore/venv/lib/*/site-packages/*/METADATA")
    }
    return sorted({*debian(status), *python(path.read_text(encoding="utf-8") for path in about.values())})


def debian(status: str) -> list[Package]:
    """The installed packages of a dpkg status file."""
    found = [dict(_FIELD.findall(entry)) for entry in status.split("\n\n") if _INSTALLED.search(entry)]
    return [
        Package("deb", each["Package"], each["Version"], (("arch", each["Architecture"]), ("distro", "bookworm")))
        for each in found
    ]


def python(about: Iterable[str]) -> list[Package]:
    """The packages of `METADATA` files; the fields that count come before the first empty line."""
    found = [dict(_ABOUT.findall(text.partition("\n\n")[0])) for text in about]
    return [Package("pypi", re.sub(r"[-_.]+", "-", each["Name"]).lower(), each["Version"]) for each in found]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
