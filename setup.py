"""What `pyproject.toml` can not say: the compiled codec and `phash2`, the companions for a BEAM, and links.

The codec is built when a C compiler is there. `PYERLNODE_PUREPYTHON=1` leaves it out and gives a wheel for every
platform; `PYERLNODE_REQUIRE_C=1` makes a build that fails fail, where it would otherwise be pure without a word.
"""

import os
import re
import shutil
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_py import build_py

CODEC = "pyerlnode/etf/_codec_c.pyx"
HASH = "pyerlnode/term/_phash2_c.pyx"
HOME = os.environ.get("PYERLNODE_URL", "").rstrip("/")
"""Where this release is published, and its files stand below `blob/main/`: for the links of its page at an index.

Who publishes says so when building (``PYERLNODE_URL=https://… make wheel``): without it there are no links, rather than
wrong ones.
"""


class Build(build_py):
    """With the files for a BEAM beside the Python ones: whoever installs a wheel has no checkout to copy them from."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            at = Path(self.build_lib, "pyerlnode", "companions")
            shutil.rmtree(at, ignore_errors=True)
            shutil.copytree("beam", at, ignore=shutil.ignore_patterns("_build", "*.beam", "test"))


def readme() -> str:
    """The README; where there are no files beside it, its links have to be whole."""
    text = Path("README.md").read_text(encoding="utf-8")
    return re.sub(r"\]\((?!https?:|#)([^)]+)\)", rf"]({HOME}/blob/main/\1)", text) if HOME else text


def urls() -> dict[str, str]:
    return {"Source": HOME, "Documentation": f"{HOME}/tree/main/docs", "Issues": f"{HOME}/issues"} if HOME else {}


def extensions() -> list[Extension]:
    if os.environ.get("PYERLNODE_PUREPYTHON") == "1":
        return []
    required = os.environ.get("PYERLNODE_REQUIRE_C") == "1"
    try:
        from Cython.Build import cythonize
    except ImportError:
        if required:
            raise
        return []
    parts = [str(part) for part in sorted(Path("pyerlnode/etf").glob("*.pxi"))]
    # Symbols are eight of nine bytes of the codec, and nobody's but a sanitizer's, whose flags come by the environment.
    strip = ["-Wl,-s"] if sys.platform == "linux" and not os.environ.get("CFLAGS") else []
    how = {"extra_compile_args": ["-O3"], "extra_link_args": strip}
    codec = Extension("pyerlnode.etf._codec_c", [CODEC], depends=parts, **how)
    phash2 = Extension("pyerlnode.term._phash2_c", [HASH], **how)
    made = cythonize([codec, phash2], language_level=3, build_dir="build")
    for extension in made:
        extension.optional = not required  # cythonize() forgets it
    return list(made)


setup(
    ext_modules=extensions(),
    cmdclass={"build_py": Build},
    long_description=readme(),
    long_description_content_type="text/markdown",
    project_urls=urls(),
)
