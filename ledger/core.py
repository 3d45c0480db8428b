"""Things for tutorials: `ln.core.datasets`."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

from ledger.errors import MissingDependencyError


class datasets:  # noqa: N801 (a namespace, as LaminDB users know it)
    """Real files for trying things out."""

    @staticmethod
    def file_fcs(folder: str | Path = ".") -> Path:
        """Copy a real flow-cytometry file into a folder and return its path.

        Raises:
            MissingDependencyError: The extra `demo` is not installed.
        """
        return datasets.files_fcs(folder, limit=1)[0]

    @staticmethod
    def files_fcs(folder: str | Path = ".", *, limit: int | None = None) -> list[Path]:
        """Copy real flow-cytometry files into a folder, smallest last, and return their paths."""
        # Importing fcsparser would fail without six, a dependency that it does not declare.
        spec = find_spec("fcsparser")
        if spec is None or spec.origin is None:
            raise MissingDependencyError(
                "the example files come with fcsparser, which is not installed; "
                "pip install 'metaledger[demo]'"
            )
        found = sorted(
            Path(spec.origin).parent.rglob("*.fcs"),
            key=lambda path: (-path.stat().st_size, path.name),
        )
        copies = []
        for source in found[:limit]:
            target = Path(folder) / source.name.replace(" ", "_")
            shutil.copy(source, target)
            copies.append(target)
        return copies
