"""FastMCP's proxy in front of an MCP server: `fastmcp_proxy.py URL PORT`, in FastMCP's own venv."""

import sys

from fastmcp.server import create_proxy

if __name__ == "__main__":
    proxy = create_proxy(sys.argv[1], name="proxy")
    proxy.run(
        transport="http", host="127.0.0.1", port=int(sys.argv[2]), show_banner=False,
        log_level="error",
    )  # fmt: skip
