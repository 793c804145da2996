# Where the images come from. Sourced by deploy/stack.

# What our images hold; deploy/image/Dockerfile compiles the same.
programs=(mcp-exporter mcp-health-monitor mcp-remediation mcp-tap mcpmon)

third_party() { compose --profile '*' config --images | grep -v '^mcpmon' | sort -u; }

present() { docker image inspect "$1" >/dev/null 2>&1; }

prepare_images() {
    own_images
    local image
    for image in $(third_party); do
        present "$image" && continue
        say "fetching $image"
        docker pull --quiet "$image" >/dev/null 2>&1 && continue
        case $image in
            grafana/*) ;;
            *) die "$image cannot be fetched. Without a way to an image registry," \
                "make images-offline builds a stand-in from Debian's packages" ;;
        esac
    done
    image=$(compose --profile grafana config --images grafana | grep grafana/)
    if present "$image"; then
        choose_profiles grafana
    else
        choose_profiles
        say "Grafana is left out: its image $image cannot be fetched; all else is complete"
    fi
}

# Built by Docker, or, with MCPMON_PREBUILT, around programs that the host has built.
own_images() {
    if [ -n "${MCPMON_PREBUILT:-}" ]; then
        local context=$state/image
        rm -rf "$context"
        mkdir -p "$context"
        for program in "${programs[@]}"; do
            [ -x "$MCPMON_PREBUILT/$program" ] ||
                die "$MCPMON_PREBUILT has no program $program; build it with: make build"
            deploy/image/rootfs "$context/images/$program" "$MCPMON_PREBUILT/$program"
        done
        cp deploy/image/Dockerfile "$context/"
        MCPMON_BUILD_CONTEXT=$context MCPMON_DOCKERFILE=Dockerfile MCPMON_BINARIES=prebuilt \
            build_own
        rm -rf "$context"
    else
        say "building our images; the first time this compiles all dependencies"
        build_own
    fi
}

build_own() {
    local log
    log=$(mktemp)
    if ! compose --profile '*' build --progress plain >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        rm -f "$log"
        die "the images cannot be built. Where the builder's image cannot be fetched, build" \
            "with the host's Rust: make build && make up PREBUILT=target/release"
    fi
    rm -f "$log"
}

# Stand-ins for the third-party images, from Debian's packages.
images_offline() {
    require_engine
    local image
    for image in $(third_party); do
        if present "$image"; then
            say "$image is there already"
        else
            deploy/offline/build "$image"
        fi
    done
}
