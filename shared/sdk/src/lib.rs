//! Monitoring for MCP servers written in Rust
