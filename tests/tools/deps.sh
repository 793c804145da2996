# What the scripts share that install the tests' programs. Sourced; needs $root and $0.

. "$root/tests/tools/paths.sh"

say() { echo "test-deps: $*"; }
die() { say "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Runs a command in silence; shows what it printed when it fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log" >&2
        rm -f "$log"
        die "this failed: $*"
    fi
    rm -f "$log"
}

# Builds a folder beside its final place and renames it, so that an interrupted run leaves nothing
# that looks complete: install_folder FOLDER WHAT FUNCTION [ARGUMENT...]; the function gets the
# folder to fill, and then the arguments.
install_folder() {
    local folder=$1 what=$2 fill=$3
    say "installing $what"
    rm -rf "$folder" "$folder.partial"
    mkdir -p "$folder.partial"
    "$fill" "$folder.partial" "${@:4}"
    mv "$folder.partial" "$folder"
}

# A Python environment cannot be moved, for its scripts name their interpreter's path: it is made in
# its final place and stamped when it is complete: install_python FOLDER REQUIREMENTS
install_python() {
    local folder=$1 requirements=$2
    [ -e "$folder/.complete" ] && "$folder/bin/python" -c pass 2>/dev/null && return
    say "installing the Python packages of $requirements"
    rm -rf "$folder"
    quietly python3 -m venv "$folder"
    quietly "$folder/bin/python" -m pip install --disable-pip-version-check \
        --requirement "$root/$requirements"
    touch "$folder/.complete"
}

# The npm packages of a folder of the repository: fill_node FOLDER FROM
fill_node() {
    cp "$root/$2/package.json" "$root/$2/package-lock.json" "$1/"
    quietly npm --prefix "$1" ci --no-audit --no-fund --ignore-scripts
}

# Debian packages --------------------------------------------------------------------------------

apt_lists_read=
read_apt_lists() {
    [ -n "$apt_lists_read" ] && return
    [ "$(id -u)" = 0 ] && quietly apt-get -q update
    apt_lists_read=yes
}

# Installs the Debian packages $2... that give the program $1.
debian() {
    local program=$1
    shift
    if ! has apt-get; then
        die "$program is missing; install it with your package manager (Debian calls it: $*)"
    elif [ "$(id -u)" != 0 ]; then
        die "$program is missing; install it with: sudo apt-get install $*"
    fi
    say "installing $* for $program"
    read_apt_lists
    DEBIAN_FRONTEND=noninteractive quietly apt-get -q -y --no-install-recommends install "$@"
}

debian_mirror() {
    # shellcheck disable=SC2016 # apt expands
    [ -n "${DEBIAN_MIRROR:-}" ] || DEBIAN_MIRROR=$(
        apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
            awk '$1 == "Debian" && $2 !~ /security/ { print $2; exit }'
    )
    echo "${DEBIAN_MIRROR:-http://deb.debian.org/debian}"
}

# Unpacks packages of a Debian suite, which need not be the machine's: unpack_debian FOLDER SUITE
# PACKAGE... The state of apt is one of its own; the machine's sources and packages stay as they are.
unpack_debian() {
    local folder=$1 suite=$2 work package
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    shift 2
    has apt-get && has dpkg && [ -e "$keyring" ] ||
        die "need apt-get, dpkg and $keyring (package debian-archive-keyring) for: $*"
    # apt downloads as the user _apt, who may not enter the cache.
    work=$(mktemp -d)
    chmod 755 "$work"
    mkdir -p "$work"/{lists,archives}/partial "$work/download"
    chown _apt "$work"/{lists,archives}/partial "$work/download" 2>/dev/null || true
    echo "deb [signed-by=$keyring] $(debian_mirror) $suite main" >"$work/sources.list"
    # A machine's clock may be past the validity of a suite that is still being made.
    local apt=(apt-get -q -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work" -o Acquire::Check-Valid-Until=false
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
    quietly "${apt[@]}" update
    (cd "$work/download" && quietly "${apt[@]}" download "$@")
    for package in "$work"/download/*.deb; do quietly dpkg -x "$package" "$folder"; done
    rm -rf "$work"
}
