#!/bin/sh
# Installs a public Singer tap into a folder of its own and runs it through Usher
# against a throw-away PostgreSQL, twice, with its state kept.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check pipelinewise-tap-postgres
USHER_TAP_POSTGRES="$dir/venv/bin/tap-postgres" go test -count=1 -v -run '^TestARealTap$' ./internal/provider/singer
