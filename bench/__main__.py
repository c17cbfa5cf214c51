"""The measured claims: `python -m bench [NAME …]`, or all of them. Each is a module here with a main."""

import pkgutil
import subprocess
import sys

import bench


def main(wanted: list[str]) -> int:
    names = [m.name for m in pkgutil.iter_modules(bench.__path__) if _is_claim(m.name)]
    if unknown := sorted(set(wanted) - set(names)):
        print(
            f"There is no claim called {', '.join(unknown)}; there are: {', '.join(names)}", file=sys.stderr
        )
        return 3
    codes = [subprocess.run([sys.executable, "-m", f"bench.{name}"]).returncode for name in wanted or names]
    return max(codes)


def _is_claim(name: str) -> bool:
    return not name.startswith("_") and name != "stop_for"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
