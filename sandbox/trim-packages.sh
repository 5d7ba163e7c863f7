#!/bin/sh
# Takes out of a virtual environment what running code does not need, then compiles the rest: on a read-only root byte-code could never be
# written later. Data sets that ship with packages stay; numpy keeps its tests, since numpy.testing imports from them.
set -eu
packages=$1/lib/python3.13/site-packages

find "$packages" -depth -type d \( -name tests -o -name test \) ! -path "$packages/numpy/*" ! -path '*/testing/*' -exec rm -rf {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.a' -o -name '*.h' -o -name '*.hpp' \) -delete
# debugpy is a hard dependency of ipykernel only on paper: without it ipykernel offers no debugger.
rm -rf "$packages"/debugpy "$packages"/debugpy-*.dist-info "$1"/bin/debugpy* "$packages"/pyarrow/include "$packages"/pyarrow/src \
  "$packages"/plotly/package_data/datasets "$packages"/installer/_scripts/*.exe
find "$packages" -depth -type d -name __pycache__ -exec rm -rf {} +
# unchecked-hash: byte-code is taken without a look at the source's time, which a copy into another layer may change.
"$1"/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash "$packages"
