"""A written project: its folder and what its manifest says. Imports no hls4ml: a project is opened without it."""

import json
from dataclasses import dataclass
from pathlib import Path

from codesign.errors import ConfigError
from codesign.files import digest_of
from codesign.hls.options import ProjectOptions
from codesign.network import Network
from codesign.protection import ProtectionPlan

MANIFEST = "codesign.json"
CSIM_SOURCE = "csim.cpp"
CSIM_SCRIPT = "build_csim.sh"


@dataclass(frozen=True)
class Project:
    """A written project: its folder and what it holds (from its manifest)."""

    folder: Path
    network: Network
    plan: ProtectionPlan
    options: ProjectOptions

    @classmethod
    def open(cls, folder: Path) -> "Project":
        """Read a project's manifest. Raises ConfigError when the folder is not a codesign project."""
        try:
            manifest = json.loads((folder / MANIFEST).read_text())
            options = ProjectOptions(**manifest["options"])
            plan = ProtectionPlan.from_json(manifest["plan"], str(folder / MANIFEST))
        except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
            raise ConfigError(f"{folder} is not a codesign project: {MANIFEST}: {error}") from None
        network = Network.load(folder / "network.npz")
        if network.digest != manifest.get("network"):
            raise ConfigError(f"{folder}: network.npz is not the network that {MANIFEST} names")
        return cls(folder, network, plan.check(network), options)


def source_digest(folder: Path) -> str:
    """SHA-256 of everything that decides what the C-simulation computes."""
    files = sorted(p for p in (folder / "firmware").rglob("*") if p.is_file())
    files += [folder / CSIM_SOURCE, folder / CSIM_SCRIPT]
    parts: list[str | bytes] = []
    for path in files:
        parts += [str(path.relative_to(folder)), path.read_bytes()]
    return digest_of(*parts)
