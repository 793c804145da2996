//! The program `mcp-remediation`: what an operator types, and what a process is told by signals.

#![expect(clippy::unwrap_used, reason = "a broken assumption fails the test")]

mod operator;
mod process;
mod program;
