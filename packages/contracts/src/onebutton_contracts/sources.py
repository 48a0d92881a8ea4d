"""Find a file that a locked distribution carries, and prove that it is the one that the contract pins."""

import hashlib
from importlib import metadata
from pathlib import Path

from onebutton_contracts.contract import Contract
from onebutton_contracts.errors import InputError, require


def pinned_source(contract: Contract) -> Path:
    """Return the path of a contract's source file inside an installed distribution, after checking its SHA-256.

    The distribution is never imported: old data packages often no longer can be.

    Args:
        contract: names `sourceDistribution`, `sourceFile` (path inside it) and `sourceSha256` in its custom properties.

    Raises:
        InputError: the distribution or file is missing, or its content is another than the contract pins.
    """
    names = ("sourceDistribution", "sourceFile", "sourceSha256")
    for name in names:
        require(name in contract.properties, f"{contract.path}: {contract.name} does not name its {name!r}")
    distribution, file, expected = (contract.properties[name] for name in names)
    try:
        path = Path(str(metadata.distribution(distribution).locate_file(file)))
        found = sha256(path)
    except (metadata.PackageNotFoundError, OSError):
        gone = f"{distribution} does not bring {file}, which {contract.path} names"
        raise InputError(f"{gone}. `make setup` installs it again") from None
    another = f"{file} of {distribution} is not the file that {contract.path} pins: sha256 {found[:12]}…, pinned {expected[:12]}…"
    mend = f"`uv sync --all-packages --reinstall-package {distribution}` brings the file back"
    require(found == expected, f"{another}. {mend}; a new version of the data needs its new hash in the contract")
    return path


def sha256(path: Path) -> str:
    """Digest of a file, as hexadecimal text."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
