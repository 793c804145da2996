//! The command `mcp-health-monitor`.

fn main() {}
