# Where the tests' programs live: outside the clone, one folder per pinned set, so that clones
# with different pins share a cache. Sourced by the other scripts; needs $root.

# shellcheck source=tests/tools/pins.env
. "$root/tests/tools/pins.env"

cache=${MCPMON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mcpmon}

digest() { cat "$@" | sha256sum | cut -c1-12; }

python_env=$cache/python-$(digest "$root/tests/e2e/requirements.txt")
node_env=$cache/node-$(digest "$root/tests/e2e/package.json" "$root/tests/e2e/package-lock.json")
promtool_env=$cache/promtool
cargo_deny_env=$cache/cargo-deny-$CARGO_DENY_VERSION
cargo_nextest_env=$cache/cargo-nextest-$CARGO_NEXTEST_VERSION

export MCPMON_E2E_PYTHON=$python_env/bin
export MCPMON_E2E_NODE_MODULES=$node_env/node_modules

# What the machine already has goes first: a promtool or cargo-nextest of its own is used.
export PATH="$PATH:$promtool_env/bin:$cargo_nextest_env/bin"
# cargo-deny's verdicts change with its version, so the pinned one is used.
export PATH="$cargo_deny_env/bin:$PATH"
