# Are the published ports free? Sourced by deploy/stack.

require_free_ports() {
    local service taken=()
    for service in exporter health-monitor remediation prometheus alertmanager grafana; do
        running "$service" && continue # its own port, then
        listens "$(port "$service")" && taken+=("$service")
    done
    [ ${#taken[@]} = 0 ] && return
    for service in "${taken[@]}"; do
        local number name
        number=$(port "$service")
        name=MCPMON_$(echo "$service" | tr '[:lower:]-' '[:upper:]_')_PORT
        say "port $number, for $service, is taken$(holder "$number"); end that program," \
            "or choose another port: $name=$(free_after "$number") in .env" >&2
    done
    exit 1
}

listens() { (exec 3<>"/dev/tcp/$reach/$1") 2>/dev/null; }

free_after() {
    local number=$(($1 + 1))
    while listens "$number" && [ "$number" -lt 65535 ]; do number=$((number + 1)); done
    echo "$number"
}

# Who has a port, as far as we may know.
holder() {
    local container process
    container=$(docker ps --filter "publish=$1" --format '{{.Names}}' | head -n 1)
    if [ -n "$container" ]; then
        echo " by the container $container"
    elif has ss; then
        process=$(ss -Hltnp "sport = :$1" 2>/dev/null | grep -o 'users:.*' | head -n 1)
        echo "${process:+ by $process}"
    fi
}
