#!/bin/sh
# What the tests need of the system: installed where that may be done (root on Debian), else
# named in one line; then the tests that need it are skipped by name.
set -eu
packages=""

lacks() { # PACKAGE COMMAND…
    package=$1
    shift
    for name in "$@"; do
        if command -v "$name" >/dev/null 2>&1; then
            return 0
        fi
    done
    packages="$packages $package"
}

has_font() {
    [ -n "$(find /usr/share/fonts /usr/local/share/fonts "$HOME/.fonts" -name 'DejaVuSans.ttf' 2>/dev/null | head -n 1)" ]
}

look() {
    packages=""
    lacks git git
    lacks bubblewrap bwrap
    lacks chromium chromium chromium-browser google-chrome
    lacks nodejs node
    lacks npm npm
    has_font || packages="$packages fonts-dejavu-core"
}

look
if [ -z "$packages" ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing for the tests:$packages …"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || true
    # shellcheck disable=SC2086 # several words are meant
    apt-get install -y -qq --no-install-recommends $packages >/dev/null || true
    look
fi
if [ -n "$packages" ]; then
    echo "Missing here:$packages (Debian: apt install$packages)." >&2
    if [ "${BULLPEN_REQUIRE_ALL:-}" = 1 ]; then
        exit 1
    fi
fi
