//! Test support: metric matchers, real processes, hostile peers
