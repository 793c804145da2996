//! A transparent observer in front of any MCP server
