#!/usr/bin/env bash
# Installs, into the directory given, the foreign clients that the tests use: the previous line of
# the official Python SDK, the MCP Inspector, the official conformance suite, a Node that runs
# the latter two, and Debian's kubectl (another one that is on the path is tried as well).
set -euo pipefail
into=$(mkdir -p "$1" && cd "$1" && pwd)
[ -x "$into/sdk1/bin/python" ] || python3 -m venv "$into/sdk1"
"$into/sdk1/bin/python" -m pip install --quiet 'mcp==1.30.0'
cd "$into"
if [ ! -x kubectl/usr/bin/kubectl ] && command -v apt-get dpkg > /dev/null; then
    mkdir -p kubectl
    (
        cd kubectl
        fetch() { apt-get download --quiet kubernetes-client > /dev/null; }
        fetch || { apt-get update --quiet > /dev/null && fetch; }
        dpkg --extract kubernetes-client_*.deb .
        rm kubernetes-client_*.deb
    )
fi
[ -f package.json ] || echo '{"name": "tools", "private": true}' > package.json
npm install --silent --no-audit --no-fund node@24 @modelcontextprotocol/inspector@2.12.0 \
    @modelcontextprotocol/conformance@0.2.0-alpha.12
