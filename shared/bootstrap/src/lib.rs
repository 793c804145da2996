//! Layered configuration, logging, HTTP scaffolding, readiness and shutdown
