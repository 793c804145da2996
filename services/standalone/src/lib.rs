//! DevSkyy MCP Monitoring in one process
