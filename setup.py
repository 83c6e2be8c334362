"""What `pyproject.toml` can not say: the compiled codec, and the compiled `phash2`.

It is built when a C compiler is there. `PYERLNODE_PUREPYTHON=1` leaves it out and gives a wheel for every
platform; `PYERLNODE_REQUIRE_C=1` makes a build that fails fail, where it would otherwise be pure without a word.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

CODEC = "pyerlnode/etf/_codec_c.pyx"
HASH = "pyerlnode/term/_phash2_c.pyx"


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
    codec = Extension("pyerlnode.etf._codec_c", [CODEC], depends=parts, extra_compile_args=["-O3"])
    phash2 = Extension("pyerlnode.term._phash2_c", [HASH], extra_compile_args=["-O3"])
    made = cythonize([codec, phash2], language_level=3, build_dir="build")
    for extension in made:
        extension.optional = not required  # cythonize() forgets it
    return list(made)


setup(ext_modules=extensions())
