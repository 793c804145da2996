//! An example MCP server, instrumented with the SDK
