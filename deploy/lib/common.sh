# What all parts of deploy/stack use. Sourced; needs $root.

say() { echo "stack: $*"; }
die() {
    say "$*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# .env, or the file that MCPMON_ENV_FILE names. The shell's variables go before it, as in Compose.
env_file=${MCPMON_ENV_FILE:-.env}
if [ -f "$env_file" ]; then
    while IFS='=' read -r name value || [ -n "$name" ]; do
        [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || continue
        value=${value%$'\r'}
        [[ $value =~ ^\"(.*)\"$ || $value =~ ^\'(.*)\'$ ]] && value=${BASH_REMATCH[1]}
        [ -n "${!name+set}" ] || export "$name=$value"
    done <"$env_file"
fi

export COMPOSE_PROJECT_NAME=${COMPOSE_PROJECT_NAME:-mcpmon}
export MCPMON_STATE=${MCPMON_STATE:-./deploy/state}
state=$MCPMON_STATE
bind=${MCPMON_BIND:-127.0.0.1}
# An address for all interfaces is none that can be asked.
case $bind in 0.0.0.0 | '') reach=127.0.0.1 ;; *) reach=$bind ;; esac

# Which optional services are part of the stack is decided once per run, by what is there and by
# prepare_images. COMPOSE_PROFILES counts beside them; Compose itself would not look at it any more.
profiles=()
choose_profiles() {
    local profile wanted=${COMPOSE_PROFILES:-}
    profiles=()
    for profile in "$@" ${wanted//,/ }; do
        profiles+=(--profile "$profile")
    done
    if exists health-monitor-2 || exists remediation-2; then profiles+=(--profile ha); fi
}

compose() {
    # The project's variables are exported already; a second reading could only differ.
    docker compose --env-file /dev/null "${profiles[@]+"${profiles[@]}"}" "$@"
}

require_engine() {
    has docker || die "docker is missing; install Docker Engine: https://docs.docker.com/engine/install/"
    docker compose version >/dev/null 2>&1 ||
        die "docker has no compose plugin; install Compose v2 (Debian: docker-compose, Docker: docker-compose-plugin)"
    local reason
    if ! reason=$(docker info --format '{{.ServerVersion}}' 2>&1); then
        case $reason in
            *"permission denied"*)
                die "you may not use the Docker engine; add yourself to its group (sudo usermod -aG docker $(id -un)) and log in again" ;;
            *) die "no Docker engine answers; start it (sudo systemctl start docker). It said: ${reason##*$'\n'}" ;;
        esac
    fi
    if running grafana; then choose_profiles grafana; else choose_profiles; fi
}

port() {
    case $1 in
        exporter) echo "${MCPMON_EXPORTER_PORT:-9090}" ;;
        health-monitor) echo "${MCPMON_HEALTH_MONITOR_PORT:-9095}" ;;
        remediation) echo "${MCPMON_REMEDIATION_PORT:-9096}" ;;
        prometheus) echo "${MCPMON_PROMETHEUS_PORT:-9091}" ;;
        alertmanager) echo "${MCPMON_ALERTMANAGER_PORT:-9093}" ;;
        grafana) echo "${MCPMON_GRAFANA_PORT:-3000}" ;;
    esac
}

url() { echo "http://$reach:$(port "$1")"; }

# The id of a service's running container: container SERVICE [OPTION OF docker ps]
container() {
    docker ps --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter "label=com.docker.compose.service=$1" "${@:2}"
}

running() { [ -n "$(container "$1")" ]; }

# Also one that has stopped.
exists() { [ -n "$(container "$1" --all)" ]; }

# Lines "service: state" of the containers that are not as they should be.
not_healthy() {
    compose --profile '*' ps --all --format '{{.Service}}: {{.State}} {{.Health}}' |
        grep -Ev ': running (healthy)?$' || true
}

has timeout || timeout() { shift; "$@"; } # macOS

# Asks a service over its published port: ask SERVICE METHOD PATH [HEADER [BODY]]
# Prints the reply's status and then its body; fails when nobody answers.
ask() {
    local service=$1
    shift
    timeout 15 deploy/lib/ask "$reach" "$(port "$service")" "$@" 2>/dev/null
}

status_of() { head -n 1 <<<"$1"; }
secret() { cat "$state/secrets/$1"; }
bearer() { echo "Authorization: Bearer $(secret "$1")"; }
