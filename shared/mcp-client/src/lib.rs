//! The client that probes an MCP server.
