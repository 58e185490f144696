"""Mooring runs MCP servers and stands in front of them."""
