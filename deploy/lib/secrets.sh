# Secrets: made once, in a folder that only its owner may enter. Sourced by deploy/stack.
#
# The folder keeps other people of this machine out. The files themselves are world-readable, for
# a container's user is none of this machine's, and Compose mounts a file with the mode it has.

random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

sha256() { if has sha256sum; then sha256sum; else shasum -a 256; fi | cut -d' ' -f1; }

# Writes standard input to a secret; a reader never sees half of it.
write_secret() {
    local file=$state/secrets/$1
    cat >"$file.new"
    chmod 444 "$file.new"
    if cmp -s "$file.new" "$file"; then
        rm -f "$file.new"
    elif [ -f "$file" ]; then
        # The same file, not a new one: a running container has this one mounted.
        chmod 644 "$file" && cat "$file.new" >"$file" && chmod 444 "$file"
        rm -f "$file.new"
    else
        mv "$file.new" "$file"
    fi
}

create_secrets() {
    (umask 077 && mkdir -p "$state/secrets")
    chmod 700 "$state" "$state/secrets"
    local name
    for name in read_token write_token webhook_token operate_token grafana_admin_password \
        redis_probe_password redis_health_monitor_password redis_remediation_password; do
        [ -s "$state/secrets/$name" ] || random | write_secret "$name"
    done
    redis_users | write_secret redis_users
    printf 'redis://health-monitor:%s@redis:6379/0' "$(secret redis_health_monitor_password)" |
        write_secret redis_health_monitor_url
    printf 'redis://remediation:%s@redis:6379/0' "$(secret redis_remediation_password)" |
        write_secret redis_remediation_url
    given SLACK_WEBHOOK_URL slack_webhook_url
    given DEADMAN_URL deadman_url
}

# A secret that people bring: the variable sets it, otherwise the file stays; empty means none.
given() {
    local variable=$1 name=$2
    if [ -n "${!variable:-}" ]; then
        printf '%s' "${!variable}" | write_secret "$name"
    elif [ ! -e "$state/secrets/$name" ]; then
        write_secret "$name" </dev/null
    fi
}

# An ACL user per service. Only their hashes go to Redis.
redis_users() {
    local user keys
    echo "user default off"
    echo "user probe on #$(hash_of redis_probe_password) -@all +ping"
    for user in health_monitor remediation; do
        keys='~mcpmon:* &mcpmon:*'
        echo "user ${user/_/-} on #$(hash_of "redis_${user}_password") $keys" \
            "-@all +@read +@write +@stream +@scripting +@transaction +@connection +info -@dangerous +info"
    done
}

hash_of() { printf '%s' "$(secret "$1")" | sha256; }

# What the health monitor's container is told only sometimes: render_health_monitor [with-demo]
#
# A file and no variables, so that `docker compose` by hand means the same containers.
render_health_monitor() {
    local components=MCPMON__HEALTH_MONITOR__COMPONENTS
    {
        # An empty secret is a mistake to whoever is told to read it.
        [ ! -s "$state/secrets/slack_webhook_url" ] ||
            echo "MCPMON__SLACK__WEBHOOK_URL_FILE=/run/secrets/slack_webhook_url"
        # The atelier as its clients reach it: so a tap that is away shows, too.
        [ "${1:-}" != with-demo ] ||
            printf "${components}__%s\n" \
                BOUTIQUE__KIND=mcp BOUTIQUE__URL=http://demo-server:8765/mcp \
                ATELIER__KIND=mcp ATELIER__URL=http://demo-tap:8080/mcp
    } >"$state/health-monitor.env"
}

# A receiver without its secret would make Alertmanager refuse the whole file, so it is left out.
render_alertmanager() {
    local rendered=$state/alertmanager.yml
    [ -d "$rendered" ] && rmdir "$rendered" # made by an engine that found no file to mount
    render "$rendered.new"
    if ! cmp -s "$rendered.new" "$rendered" 2>/dev/null; then
        # The same file, not a new one: a running container has this one mounted.
        cat "$rendered.new" >"$rendered"
    fi
    rm -f "$rendered.new"
    chmod 644 "$rendered"
}

render() {
    local optional=()
    [ -s "$state/secrets/slack_webhook_url" ] &&
        optional+=("SLACK_WEBHOOK_URL_FILE=/run/secrets/slack_webhook_url")
    [ -s "$state/secrets/deadman_url" ] &&
        optional+=("DEADMAN_URL_FILE=/run/secrets/deadman_url")
    env -u SLACK_WEBHOOK_URL_FILE -u DEADMAN_URL_FILE "${optional[@]+"${optional[@]}"}" \
        EXPORTER_URL=http://exporter:9090 \
        EXPORTER_WEBHOOK_TOKEN_FILE=/run/secrets/webhook_token \
        REMEDIATION_URL=http://remediation:9096 \
        REMEDIATION_WEBHOOK_TOKEN_FILE=/run/secrets/webhook_token \
        RUNBOOK_BASE_URL="${RUNBOOK_BASE_URL:-$(url prometheus)/user/}" \
        alertmanager/render "$1"
}
