# What remediation may do to which container. Sourced by deploy/stack.
#
# The user names containers once, as targets in deploy/remediation/remediation.toml; the list of the
# filter before the Docker engine is made from that file.

remediation_file=${MCPMON_REMEDIATION_FILE:-deploy/remediation/remediation.toml}

# Targets that are the stack's own, and their services.
own_targets="exporter=exporter boutique=demo-server"

render_remediation() {
    reach_engine
    local folder=$state/docker-proxy target container own
    mkdir -p "$folder"
    : >"$state/remediation.env.new"
    : >"$folder/names.lst.new"
    while read -r target container; do
        own=$(own_container "$target" "$container")
        if [ -n "$own" ] && [ "$own" != "$container" ]; then
            container=$own
            # A whole target, for in the container commands are given without the file.
            printf "MCPMON__REMEDIATION__TARGETS__$(tr '[:lower:]' '[:upper:]' <<<"$target")__%s\n" \
                KIND=docker "CONTAINER=$own" ENGINE=tcp://docker-proxy:2375 >>"$state/remediation.env.new"
        fi
        # A short name of hexadecimal digits could be another container's id to the engine.
        [[ $container =~ ^[A-Za-z0-9][A-Za-z0-9_.-]+$ && ! $container =~ ^[0-9a-f]+$ ]] ||
            die "remediation.targets.$target.container in $remediation_file is \"$container\";" \
                "it must be one container's name, and not made of 0-9 and a-f alone"
        echo "$container" >>"$folder/names.lst.new"
    done < <(docker_targets)
    mv "$state/remediation.env.new" "$state/remediation.env"
    mv "$folder/names.lst.new" "$folder/names.lst"
    chmod 755 "$folder"
    chmod 644 "$folder/names.lst" "$state/remediation.env"
}

# Lines "TARGET CONTAINER" of the configuration.
docker_targets() {
    awk '
        /^[ \t]*\[/ {
            target = ""
            if (match($0, /\[remediation\.targets\.[A-Za-z0-9_-]+\]/))
                target = substr($0, RSTART + 21, RLENGTH - 22)
        }
        target != "" && /^[ \t]*container[ \t]*=/ {
            value = $0
            sub(/^[^=]*=[ \t]*/, "", value)
            sub(/[ \t]*(#.*)?$/, "", value)
            gsub(/^["\047]|["\047]$/, "", value)
            print target, value
        }
    ' "$remediation_file"
}

# The container of a target of the stack's own, as it is called in this project. A target of that
# name with another container is the user's.
own_container() {
    local pair
    for pair in $own_targets; do
        [ "$1 $2" != "${pair%%=*} mcpmon-${pair#*=}-1" ] || echo "$COMPOSE_PROJECT_NAME-${pair#*=}-1"
    done
}

# Where containers find the engine's socket, and which group may open it there.
reach_engine() {
    local socket group=0
    socket=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null || true)
    # Elsewhere, and in a virtual machine, the engine's own place counts.
    [[ $socket == unix://* && $(uname) == Linux ]] || socket=/var/run/docker.sock
    socket=${socket#unix://}
    # Without root, an engine shows its own user to containers as root.
    if [ -S "$socket" ] && ! docker info --format '{{.SecurityOptions}}' | grep -q rootless; then
        group=$(stat -c %g "$socket")
    fi
    export MCPMON_DOCKER_SOCKET=${MCPMON_DOCKER_SOCKET:-$socket}
    export MCPMON_DOCKER_GROUP=${MCPMON_DOCKER_GROUP:-$group}
}
