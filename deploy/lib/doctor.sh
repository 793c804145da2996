# `make doctor`: proves the chain from the exporter to the last receiver, one line a step; a step
# that fails says what to do. Sourced by deploy/stack.

# Seconds that a step may wait for what comes by itself: a scrape, an evaluation, a group's wait.
patience=${MCPMON_DOCTOR_PATIENCE:-90}

sick=0
pass() { printf '  ok      %s\n' "$*"; }
note() { printf '  note    %s\n' "$*"; }
fail() {
    printf '  FAILED  %s\n          remedy: %s\n' "$1" "$2"
    sick=$((sick + 1))
}

# Repeats a check until it succeeds or the patience is over.
eventually() {
    local deadline=$((SECONDS + patience))
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 1
    done
}

doctor() {
    sick=0
    echo "doctor: $COMPOSE_PROJECT_NAME"
    if step_containers; then
        step_exporter
        step_tokens
        send_alert # now, for a group of alerts waits half a minute before it is told
        step_scrape && step_calls
        step_rules
        step_monitor
        step_remediation
        step_alert
        step_grafana
    fi
    [ "$sick" = 0 ] || die "doctor: $sick steps failed"
}

step_containers() {
    local services unwell
    services=$(compose --profile '*' ps --services | sort | tr '\n' ' ')
    unwell=$(not_healthy)
    if [ -z "$services" ]; then
        fail "no container runs" "make up"
        return 1
    elif [ -n "$unwell" ]; then
        fail "not healthy: ${unwell//$'\n'/, }" \
            "make logs ARGS=${unwell%%:*} shows why; make up starts what has stopped"
        return
    fi
    pass "containers are healthy: $services"
}

step_exporter() {
    local reply
    if ! reply=$(ask exporter GET /health/ready); then
        fail "the exporter does not answer on $(url exporter)" \
            "is the port published? make status shows it; MCPMON_EXPORTER_PORT in .env chooses another"
    elif [ "$(status_of "$reply")" != 200 ]; then
        fail "the exporter is not ready: ${reply#*$'\n'}" "make logs ARGS=exporter shows why"
    else
        pass "the exporter answers on $(url exporter)"
    fi
}

step_tokens() {
    local without with
    without=$(ask exporter GET /metrics || true)
    with=$(ask exporter GET /metrics "$(bearer read_token)" || true)
    if [ "$(status_of "$without")" != 401 ]; then
        fail "the exporter shows /metrics without a token (status $(status_of "$without"))" \
            "is that port another program's? make status shows who holds it"
    elif [ "$(status_of "$with")" != 200 ]; then
        fail "the exporter refuses the read token of $state/secrets (status $(status_of "$with"))" \
            "the token changed while it ran; start it again: make down && make up"
    else
        pass "the exporter wants its read token, and takes it"
    fi
}

# The value of an instant query's first sample, if any.
query() {
    ask prometheus GET "/api/v1/query?query=$(encode "$1")" |
        grep -o '"value":\[[^]]*\]' | head -n 1 | cut -d'"' -f4 || true
}

encode() {
    local text=$1 out='' i c
    for ((i = 0; i < ${#text}; i++)); do
        c=${text:i:1}
        case $c in [A-Za-z0-9_.~-]) out+=$c ;; *) out+=$(printf '%%%02X' "'$c") ;; esac
    done
    echo "$out"
}

scraped() { [ "$(query 'up{job="devskyy_mcp"}')" = 1 ]; }

step_scrape() {
    if eventually scraped; then
        pass "Prometheus scrapes the exporter: up{job=\"devskyy_mcp\"} is 1"
        return
    fi
    local reply error
    if ! reply=$(ask prometheus GET '/api/v1/targets?state=active'); then
        fail "Prometheus does not answer on $(url prometheus)" "make logs ARGS=prometheus shows why"
        return 1
    fi
    error=$(grep -o '"scrapePool":"devskyy_mcp".*' <<<"$reply" |
        grep -o '"lastError":"[^"]*"' | head -n 1 | cut -d'"' -f4 || true)
    fail "Prometheus does not scrape the exporter: ${error:-it has no such target}" \
        "a 401 means another read token: make down && make up; no target means prometheus.yml lost the job devskyy_mcp"
    return 1
}

step_calls() {
    local calls
    calls=$(query 'sum(mcp_tool_calls_total)')
    if [ "${calls:-0}" = 0 ]; then
        note "no tool call was counted yet, so dashboards are empty: make demo shows some;" \
            "a server's own events need MCP_EXPORTER_URL=$(url exporter) and the write token"
    else
        pass "tool calls are counted: $calls in all"
    fi
}

rules_reply=
rules_evaluated() {
    rules_reply=$(ask prometheus GET /api/v1/rules) &&
        grep -q '"health":' <<<"$rules_reply" &&
        ! grep -q '"health":"unknown"' <<<"$rules_reply"
}

step_rules() {
    if ! eventually rules_evaluated; then
        fail "Prometheus has not evaluated its rules after $patience s" \
            "make logs ARGS=prometheus shows why; prometheus/rules must hold the rule files"
    elif grep -q '"health":"err"' <<<"$rules_reply"; then
        local error
        error=$(grep -o '"lastError":"[^"]\{1,\}"' <<<"$rules_reply" | head -n 1 | cut -d'"' -f4)
        fail "a rule cannot be evaluated: $error" "put the rule in prometheus/rules right; then make up"
    else
        pass "Prometheus evaluates its rules: $(grep -o '"health":"ok"' <<<"$rules_reply" | wc -l | tr -d ' ') are well"
    fi
}

# The stack's own parts, by their names in the health monitor's configuration.
own_components=" metrics_server redis prometheus alertmanager "

# What the monitor says, and a line "NAME STATE" for each component.
monitor_reply=
monitor_components() {
    grep -o '"name":"[^"]*","kind":"[^"]*",\("server":"[^"]*",\)\{0,1\}"state":"[^"]*"' <<<"$monitor_reply" |
        sed 's/"name":"\([^"]*\)".*"state":"\([^"]*\)"/\1 \2/' || true
}

# One component's error, as far as a quotation mark in it.
monitor_error() {
    grep -o "\"name\":\"$1\",.*" <<<"$monitor_reply" | sed 's/,"name":"[^"]*","kind":.*//; s/},{"name".*//' |
        grep -o '"error":"[^"]*"' | head -n 1 | cut -d'"' -f4 || true
}

# Whether it has checked everything and finds the stack's own parts well, which may just have started:
# what it found before is checked anew.
monitor_content() {
    local name is unwell=0
    monitor_reply=$(ask health-monitor GET /api/v1/components "$(bearer read_token)") || return
    while read -r name is; do
        case $is in healthy | degraded) continue ;; esac
        # Of others it is enough that they were checked.
        case $own_components in *" $name "*) ;; *) [ "$is" = unknown ] || continue ;; esac
        unwell=1
        ask health-monitor POST "/api/v1/components/$name/check" "$(bearer operate_token)" >/dev/null || true
    done < <(monitor_components)
    return "$unwell"
}

# Components that were not checked for longer than the rules allow, which is ten minutes.
monitor_overdue() {
    local age
    age=$(query 'max(job:mcp_component_last_check:objective_age)')
    ask health-monitor GET /metrics "$(bearer read_token)" |
        awk -v limit="${age:-600}" -v now="$(date +%s)" '
            /^mcp_component_last_check_timestamp_seconds\{/ && now - $NF > limit {
                sub(/.*component="/, ""); sub(/".*/, ""); print
            }' | tr '\n' ' ' || true
}

step_monitor() {
    local failing='' overdue name is error names=() remedy
    eventually monitor_content || true
    case $(status_of "$monitor_reply") in
        200) ;;
        '')
            fail "the health monitor does not answer on $(url health-monitor)" \
                "make logs ARGS=health-monitor shows why"
            return ;;
        *)
            fail "the health monitor refuses the read token of $state/secrets (status $(status_of "$monitor_reply"))" \
                "the token changed while it ran; start it again: make down && make up"
            return ;;
    esac
    while read -r name is; do
        names+=("$name")
        case $is in
            healthy) continue ;;
            degraded | rate_limited | unsupported_transport)
                note "the health monitor says that $name is $is: $(monitor_error "$name")"
                continue ;;
        esac
        remedy="start it, or put its table in deploy/health-monitor/health-monitor.toml right; then make up"
        case $own_components in
            *" $name "*) remedy="make logs ARGS=${name/metrics_server/exporter} shows why" ;;
        esac
        error=$(monitor_error "$name")
        fail "the health monitor says that $name is $is${error:+: $error}" "$remedy"
        failing=yes
    done < <(monitor_components)
    overdue=$(monitor_overdue)
    if [ ${#names[@]} = 0 ]; then
        fail "the health monitor checks nothing" \
            "deploy/health-monitor/health-monitor.toml must name components; then make up"
    elif [ -n "$overdue" ]; then
        fail "the health monitor has not checked for long: $overdue" "make logs ARGS=health-monitor shows why"
    elif [ -z "$failing" ]; then
        pass "the health monitor checks ${names[*]}"
    fi
}

# Why nothing is repaired, if so; empty means that repairs are made.
held=
remediation_free() {
    local reply
    reply=$(ask remediation GET /api/v1/remediation "$(bearer read_token)") || return
    [ "$(status_of "$reply")" = 200 ] || return
    held=$(grep -o '"held":"[^"]*"' <<<"$reply" | cut -d'"' -f4 || true)
    # Redis was empty, so whoever acted before may act still: that takes its time.
    case $held in '' | hold_off) ;; *) return 1 ;; esac
}

step_remediation() {
    local reply
    if eventually remediation_free; then
        if [ -n "$held" ]; then
            note "remediation waits before its first repair: $held"
        else
            pass "remediation is ready; it may restart $(tr '\n' ' ' <"$state/docker-proxy/names.lst")"
        fi
    elif ! reply=$(ask remediation GET /api/v1/remediation "$(bearer read_token)"); then
        fail "remediation does not answer on $(url remediation)" "make logs ARGS=remediation shows why"
    elif [ "$(status_of "$reply")" != 200 ]; then
        fail "remediation refuses the read token of $state/secrets (status $(status_of "$reply"))" \
            "the token changed while it ran; start it again: make down && make up"
    else
        fail "remediation repairs nothing: $held" \
            "make logs ARGS=remediation shows why; docs/RUNBOOK.md#repairsheld says what it means"
    fi
}

# A synthetic alert on its way through Alertmanager to the receiver that every stack has.
alert_name=
alert_reply=
send_alert() {
    alert_name=DoctorTest_$$_$RANDOM
    alert_reply=$(post_alert 300 || true)
}

step_alert() {
    case $(status_of "$alert_reply") in
        200) ;;
        '')
            fail "Alertmanager does not answer on $(url alertmanager)" "make logs ARGS=alertmanager shows why"
            return ;;
        *)
            fail "Alertmanager refuses an alert: $alert_reply" "make logs ARGS=alertmanager shows why"
            return ;;
    esac
    if eventually alert_received; then
        pass "a synthetic alert passed through Alertmanager and reached the exporter's page"
    else
        fail "a synthetic alert did not reach the exporter within $patience s" \
            "make logs ARGS=alertmanager names the receiver that fails; make up renders its configuration anew"
    fi
    post_alert 0 >/dev/null || true
}

# notify="monitor" goes to the webhook alone: people are not woken by the doctor.
# Its end lies the given seconds ahead.
post_alert() {
    local until
    until=$(($(date +%s) + $1))
    until=$(date -u -d "@$until" +%Y-%m-%dT%H:%M:%SZ 2>/dev/null || date -u -r "$until" +%Y-%m-%dT%H:%M:%SZ)
    ask alertmanager POST /api/v2/alerts "" "[{\"labels\":{\"alertname\":\"$alert_name\",\"severity\":\"info\",\"notify\":\"monitor\"},
        \"annotations\":{\"summary\":\"The doctor's test; nothing is wrong\"},\"endsAt\":\"$until\"}]"
}

alert_received() {
    ask exporter GET /api/v1/status "$(bearer read_token)" | grep -q "\"$alert_name\""
}

step_grafana() {
    if ! running grafana; then
        note "Grafana does not run in this stack"
        return
    fi
    local reply login
    login=$(printf 'admin:%s' "$(secret grafana_admin_password)" | base64 | tr -d '\n')
    reply=$(ask grafana GET '/api/datasources' "Authorization: Basic $login" || true)
    local uid
    uid=$(grep -o '"uid":"[^"]*"' <<<"$reply" | head -n 1 | cut -d'"' -f4 || true)
    if [ "$(status_of "$reply")" = 401 ]; then
        fail "Grafana refuses the password of $state/secrets/grafana_admin_password" \
            "it was changed inside Grafana; write the new one into that file"
    elif [ -z "$uid" ]; then
        fail "Grafana has no data source" "make logs ARGS=grafana shows what provisioning says"
    elif reply=$(ask grafana GET "/api/datasources/proxy/uid/$uid/api/v1/query?query=up" "Authorization: Basic $login") &&
        grep -q '"status":"success"' <<<"$reply"; then
        pass "Grafana answers a query through its data source $uid"
    else
        fail "Grafana cannot query Prometheus (status $(status_of "$reply"))" \
            "make logs ARGS=grafana; the data source must name http://prometheus:9090"
    fi
}

print_addresses() {
    echo
    echo "Status page   $(url exporter)  any user, password in $state/secrets/read_token"
    echo "Health        $(url health-monitor)/api/v1/components  Bearer token in $state/secrets/read_token"
    echo "Repairs       $(url remediation)/api/v1/remediation  Bearer token in $state/secrets/read_token"
    echo "Prometheus    $(url prometheus)"
    echo "Alertmanager  $(url alertmanager)"
    if running grafana; then
        echo "Grafana       $(url grafana)  admin, password in $state/secrets/grafana_admin_password"
    fi
    echo "Runbook       $(url prometheus)/user/docs/RUNBOOK.md"
    echo "Events        $(url exporter)/v1/events  Bearer token in $state/secrets/write_token"
}
