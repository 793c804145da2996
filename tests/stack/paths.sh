# Where the stack's test keeps what it installs. Sourced after tests/tools/paths.sh, for $cache.

docker_config=$cache/docker-config
# The engine's own data: the images of one run serve the next.
engine_data=$cache/engine
