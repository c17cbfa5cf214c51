"""What another host needs to act by itself: this engine, and psutil where that host has none."""

import gzip
import hashlib
import io
import tarfile
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import engine


@cache
def bundle(with_psutil: bool) -> tuple[str, bytes]:
    """The name `engine-<digest>` and the content, a compressed tar that depends on nothing but the files."""
    root = Path(engine.__file__).parent
    files = {f"engine/{path.relative_to(root)}": path for path in root.rglob("*.py")}
    if with_psutil:
        files |= _psutil()
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for name, path in sorted(files.items()):
            content = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    name = f"engine-{hashlib.sha256(tar.getvalue()).hexdigest()[:16]}"
    return name, gzip.compress(tar.getvalue(), mtime=0)


def portable(version: tuple[int, int], ours: tuple[int, int]) -> bool:
    """Whether our psutil runs on a Python `version`, where the machine is alike: by the stable interface."""
    bound = [p for p in _psutil() if p.endswith(".so") and ".abi3." not in p]
    return version == ours or not bound


def _psutil() -> dict[str, Path]:
    import psutil

    root = Path(psutil.__file__).parent
    suffixes = (".py", *EXTENSION_SUFFIXES)
    return {
        f"psutil/{path.name}": path
        for path in root.iterdir()
        if path.is_file() and path.name.endswith(suffixes)
    }
