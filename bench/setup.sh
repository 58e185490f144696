#!/usr/bin/env bash
# Installs what the bench compares with, and what it measures with, into the directory given:
# nginx and wrk from the distribution (as root), the other proxies from PyPI and npm. Whatever
# cannot be installed is left out, and the bench says so.
set -uo pipefail
into=$(mkdir -p "$1" && cd "$1" && pwd)

missing=()
for tool in nginx wrk; do command -v "$tool" > /dev/null || missing+=("$tool"); done
if [ ${#missing[@]} -gt 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null \
        || echo "bench: apt-get cannot install ${missing[*]}" >&2
fi

pypi() { # directory, requirement
    [ -x "$into/$1/bin/python" ] || python3 -m venv "$into/$1"
    "$into/$1/bin/python" -m pip install --quiet --disable-pip-version-check "$2" \
        || echo "bench: pip cannot install $2" >&2
}
pypi mcp-proxy 'mcp-proxy==0.13.0'
pypi fastmcp 'fastmcp==4.1.2'

mkdir -p "$into/npm"
[ -f "$into/npm/package.json" ] || echo '{"name": "bench", "private": true}' > "$into/npm/package.json"
npm --prefix "$into/npm" install --silent --no-audit --no-fund supergateway@4.0.0 \
    || echo "bench: npm cannot install supergateway" >&2
