//! The command `mcp-remediation`.

fn main() {}
