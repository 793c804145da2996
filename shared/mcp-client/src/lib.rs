//! Asks an MCP server what it offers, in either era of the protocol.
