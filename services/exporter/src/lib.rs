//! Events in, Prometheus text out, a status page
