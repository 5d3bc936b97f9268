"""The versions that work together, checked before a mismatch shows up as an undefined symbol."""

from importlib.metadata import PackageNotFoundError, version

from common.errors import InstallError

TORCH, TORCHREC, FBGEMM = "2.13.0", "1.8.0", "1.8.0"
"""The tested triple. fbgemm's compiled operators only load into the torch they were built for."""

_FBGEMM_NAMES = ("fbgemm-gpu-cpu", "fbgemm-gpu")
_MEND = "run scripts/setup, which installs the tested versions"


def plexrank_version() -> str:
    """Version of the installed plexrank distribution."""
    return installed("plexrank") or "0.0.0+source"


def check_versions() -> None:
    """Check that torch, torchrec and fbgemm are the tested triple.

    Raises:
        InstallError: One is missing, or a pair does not fit; the message names the pair.
    """
    torch = installed("torch")
    torchrec = installed("torchrec")
    fbgemm_name, fbgemm = next(
        ((name, found) for name in _FBGEMM_NAMES if (found := installed(name))), (_FBGEMM_NAMES[0], None)
    )
    for name, found in (("torch", torch), ("torchrec", torchrec), (fbgemm_name, fbgemm)):
        if found is None:
            raise InstallError(f"{name} is not installed; {_MEND}")
    for name, found, wanted in (("torchrec", torchrec, TORCHREC), (fbgemm_name, fbgemm, FBGEMM)):
        if _release(torch) != TORCH or _release(found) != wanted:
            raise InstallError(
                f"torch {torch} and {name} {found} do not fit: "
                f"tested together are torch {TORCH} and {name} {wanted}; {_MEND}"
            )


def installed(name: str) -> str | None:
    """Version of an installed distribution, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _release(found: str | None) -> str:
    """Version without its local part: ``2.13.0+cpu`` is release ``2.13.0``."""
    return (found or "").split("+")[0]
