//! The program `mcp-remediation`: what an operator types, and what a process is told by signals.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken assumption fails the test")]

mod operator;
mod process;
mod program;
