"""One MCP server made of many."""
