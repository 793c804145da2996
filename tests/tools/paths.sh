# Where the tests' programs live: outside the clone, one folder per pinned set, so that clones
# with different pins share a cache. Sourced by the other scripts; needs $root.

# shellcheck source=tests/tools/pins.env
. "$root/tests/tools/pins.env"

cache=${MCPMON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mcpmon}

digest() { cat "$@" | sha256sum | cut -c1-12; }

packages() { digest "$root/tests/$1/package.json" "$root/tests/$1/package-lock.json"; }

python_env=$cache/python-$(digest "$root/tests/e2e/requirements.txt")
fastmcp_env=$cache/python-$(digest "$root/tests/e2e/fastmcp/requirements.txt")
legacy_env=$cache/python-$(digest "$root/tests/e2e/legacy/requirements.txt")
node_env=$cache/node-$(packages e2e)
conformance_env=$cache/node-$(packages e2e/conformance)
promtool_env=$cache/promtool
cargo_deny_env=$cache/cargo-deny-$CARGO_DENY_VERSION
cargo_nextest_env=$cache/cargo-nextest-$CARGO_NEXTEST_VERSION
# The crate; the Python package of the same name is one of the benchmarks' own.
mcp_proxy_crate_env=$cache/mcp-proxy-crate-$MCP_PROXY_CRATE_VERSION
# The dashboards' tests use the rules' Python packages and Prometheus servers.
rules_python=$cache/python-$(digest "$root/tests/rules/requirements.txt")
dashboards_node_env=$cache/node-$(packages dashboards)
# The engine of the stack's tests: its client's plugins, and its own data, for the images of one
# run serve the next.
docker_config=$cache/docker-config
engine_data=$cache/engine-$(digest "$root"/deploy/offline/*)
stand_ins_stamp=$engine_data/stand-ins-$(grep -E '^ *image:' "$root/docker-compose.yml" | digest)

# A small Debian that boots systemd, for the tests of remediation's actions.
systemd_root_env=$cache/systemd-root-$(digest "$root/tests/remediation/systemd-root")

export MCPMON_E2E_PYTHON=$python_env/bin
export MCPMON_E2E_FASTMCP=$fastmcp_env/bin
export MCPMON_E2E_LEGACY=$legacy_env/bin
export MCPMON_E2E_NODE_MODULES=$node_env/node_modules
export MCPMON_E2E_CONFORMANCE=$conformance_env/node_modules
export MCPMON_RULES_PYTHON=$rules_python/bin
export MCPMON_PROMETHEUS_2=$cache/debian-bookworm/usr/bin
export MCPMON_PROMETHEUS_3=$cache/debian-forky/usr/bin
export MCPMON_ALERTMANAGER=$MCPMON_PROMETHEUS_3/alertmanager
export MCPMON_SYSTEMD_ROOT=$systemd_root_env/root.tar
export MCPMON_BENCH_MCP_PROXY_CRATE=$mcp_proxy_crate_env/bin/mcp-proxy
export MCPMON_DASHBOARD_NODE_MODULES=$dashboards_node_env/node_modules

# What the machine already has goes first: a promtool or cargo-nextest of its own is used.
export PATH="$PATH:$promtool_env/bin:$cargo_nextest_env/bin"
# cargo-deny's verdicts change with its version, so the pinned one is used.
export PATH="$cargo_deny_env/bin:$PATH"
