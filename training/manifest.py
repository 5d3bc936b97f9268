"""The manifest of an artifact, which says what it is and what it is worth; read without loading a weight."""

import json
from pathlib import Path
from typing import Any

from common.errors import ArtifactError
from common.files import sha256_json

FORMAT = 1
MANIFEST = "manifest.json"
MEND = "train it again, or copy it again from where it is whole"
"""What helps against a damaged artifact."""


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read an artifact's manifest and check that it is as it was written.

    Args:
        folder: The artifact.

    Returns:
        The whole ``manifest.json``.

    Raises:
        ArtifactError: It is missing, was changed, or is of another format.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        inside = folder / "artifact"
        hint = f"; give {inside}" if (inside / MANIFEST).exists() else "; run plexrank train"
        raise ArtifactError(f"{folder} is no artifact (it has no {MANIFEST}){hint}") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise ArtifactError(f"{path} cannot be read: {problem}; {MEND}") from None
    try:
        manifest: dict[str, Any] = json.loads(text)
        content = {key: value for key, value in manifest.items() if key != "digest"}
        # Text for text, so that not even a changed blank passes.
        whole = (
            manifest["digest"] == sha256_json(content)
            and text == json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
        )
        found = manifest["format"]
    except (ValueError, KeyError, TypeError, AttributeError):
        whole, found, manifest = False, FORMAT, {}
    if found != FORMAT:
        raise ArtifactError(f"{path} has format {found!r}, this plexrank reads {FORMAT}; train it again")
    if not whole:
        raise ArtifactError(f"{path} was changed after it was written: its digest differs; {MEND}")
    return manifest
