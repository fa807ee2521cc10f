# Functions that the scripts share: packages of the system, and a PostgreSQL of their own. To
# be sourced by bash, with `set -euo pipefail`.
#
# shellcheck shell=bash

say() { printf '== %s\n' "$*"; }

install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return
    say "installing ${missing[*]}"
    local sudo=
    [ "$(id -u)" -eq 0 ] || sudo=sudo
    $sudo apt-get update -q
    DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -q --no-install-recommends "${missing[@]}"
}

find_pg_bin() {
    pg_bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
}

# install_programs [PROGRAM=PACKAGE[,PACKAGE…]…]: PostgreSQL, a C compiler, and the packages of those
# programs that are not there by another way. Sets `pg_bin`.
install_programs() {
    local needed=() program packages
    find_pg_bin
    { [ -n "$pg_bin" ] && ls /usr/share/postgresql/*/extension/pg_trgm.control >/dev/null 2>&1; } \
        || needed+=(postgresql postgresql-contrib)
    for program in "$@" cc=gcc,libc6-dev; do
        command -v "${program%%=*}" >/dev/null && continue
        IFS=, read -ra packages <<<"${program#*=}"
        needed+=("${packages[@]}")
    done
    [ ${#needed[@]} -eq 0 ] || install_packages "${needed[@]}"
    find_pg_bin
}

# Puts temporary files into memory, where a commit of SQLite does not wait for the disk, if it has that many kilobytes.
use_memory() {
    local available
    available=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
    if [ -z "${TMPDIR:-}" ] && [ "${available:-0}" -gt "$1" ]; then
        export TMPDIR=/dev/shm
    fi
}

# perl is there on every Debian.
free_port() {
    perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1")->sockport'
}

# start_cluster FOLDER [SETTING=VALUE…]: starts the cluster of FOLDER/data, after making it if it is
# not there. Sets `port` and, for stop_cluster, `as_owner`: PostgreSQL refuses to run as root.
start_cluster() {
    local folder=$1 settings= setting
    shift
    as_owner=()
    if [ "$(id -u)" -eq 0 ]; then
        chown postgres "$folder"
        as_owner=(setpriv --reuid postgres --regid postgres --init-groups env HOME="$folder")
    fi
    for setting in "$@"; do settings+=" -c $setting"; done
    port=$(free_port)
    say "starting PostgreSQL on port $port"
    (
        cd "$folder"
        [ -d "$folder/data" ] \
            || "${as_owner[@]}" "$pg_bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >"$folder/initdb.log"
        # Nothing in these clusters has to outlive a crash, so they need not wait for the disk.
        "${as_owner[@]}" "$pg_bin/pg_ctl" -D "$folder/data" -l "$folder/postgres.log" -w start -o \
            "-p $port -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off -c max_connections=300$settings" \
            >/dev/null
    )
}

# stop_cluster FOLDER MODE: `immediate` for a cluster that is thrown away, `fast` for one that is kept.
stop_cluster() {
    "${as_owner[@]}" "$pg_bin/pg_ctl" -D "$1/data" -m "$2" stop >/dev/null 2>&1 || true
}
