#!/usr/bin/env bash
# Installs, into the directory given, the foreign programs that the tests use: the previous line of
# the official Python SDK, the MCP Inspector, the official conformance suite, a Node that runs
# the latter two, Debian's kubectl (another one that is on the path is tried as well), and Debian's
# redis-server, unless there is one on the path.
set -euo pipefail
into=$(mkdir -p "$1" && cd "$1" && pwd)
[ -x "$into/sdk1/bin/python" ] || python3 -m venv "$into/sdk1"
"$into/sdk1/bin/python" -m pip install --quiet 'mcp==1.30.0'
cd "$into"
# debian DIRECTORY PACKAGE...: packages of the distribution, unpacked and not installed.
debian() {
    mkdir -p "$1"
    (
        cd "$1"
        shift
        apt-get download --quiet "$@" > /dev/null ||
            { apt-get update --quiet > /dev/null && apt-get download --quiet "$@" > /dev/null; }
        for package in *.deb; do dpkg --extract "$package" .; done
        rm ./*.deb
    )
}
if command -v apt-get dpkg > /dev/null; then
    [ -x kubectl/usr/bin/kubectl ] || debian kubectl kubernetes-client
    [ -x redis/usr/bin/redis-server ] || command -v redis-server > /dev/null ||
        debian redis redis-server redis-tools libjemalloc2 liblzf1 libatomic1
fi
[ -f package.json ] || echo '{"name": "tools", "private": true}' > package.json
npm install --silent --no-audit --no-fund node@24 @modelcontextprotocol/inspector@2.12.0 \
    @modelcontextprotocol/conformance@0.2.0-alpha.12
