#!/bin/sh
# What the Docker tests need: the engine's program (Debian's docker.io; each test session starts
# an engine of its own, no service is used) and two images that need no registry, in
# .tools/docker: busybox alone, without Python, and a small Debian with python3 and git (about
# 40 s, once). Where that can't be had, the tests that need it are skipped by name; with
# BULLPEN_REQUIRE_ALL=1 that is a failure.
set -eu
cd "$(dirname "$0")/.."
top=$PWD/.tools/docker
release=bookworm
recipe=2 # to be raised when the images change
base=$top/debian-$release-$recipe.tar
small=$top/busybox-$recipe.tar

missing() {
    echo "Missing here: Docker for the tests ($1)." >&2
    if [ "${BULLPEN_REQUIRE_ALL:-}" = 1 ]; then
        exit 1
    fi
    exit 0
}

lacks() { # PACKAGE PROGRAM
    if ! PATH="$PATH:/usr/sbin:/sbin" command -v "$2" >/dev/null 2>&1; then
        packages="$packages $1"
    fi
}

look() {
    packages=""
    lacks docker.io dockerd
    lacks openssh-server sshd
    lacks openssh-client ssh
    if [ ! -f "$base" ]; then
        lacks debootstrap debootstrap
    fi
    if [ ! -f "$small" ]; then
        [ -f /bin/busybox ] || packages="$packages busybox-static"
    fi
}

# One at a time, whoever asks first.
mkdir -p "$top"
exec 9>"$top/lock"
flock 9

look
if [ -z "$packages" ] && [ -f "$base" ] && [ -f "$small" ]; then
    exit 0
fi
[ "$(id -u)" = 0 ] || missing "needs root"
if [ -n "$packages" ]; then
    command -v apt-get >/dev/null 2>&1 || missing "no apt-get for$packages"
    echo "Installing for the tests:$packages …"
    # An engine or a server of the system's own is not wanted: nothing is started.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        trap 'rm -f "$policy"' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    # shellcheck disable=SC2086 # several words are meant
    { apt-get update -qq || true; apt-get install -y -qq --no-install-recommends $packages; } \
        >"$top/apt.log" 2>&1 || missing "apt-get install$packages failed: $top/apt.log"
fi

work=$top/work
rm -rf "$work"
mkdir -p "$work/small/bin"
if [ ! -f "$small" ]; then
    cp /bin/busybox "$work/small/bin/busybox"
    for name in $(/bin/busybox --list); do
        [ "$name" = busybox ] || ln -s busybox "$work/small/bin/$name"
    done
    mkdir -m 1777 "$work/small/tmp"
    tar -C "$work/small" -cf "$small.new" .
    mv "$small.new" "$small"
fi
if [ ! -f "$base" ]; then
    echo "Making an image of Debian for the tests, once (about 40 s) …"
    debootstrap --variant=minbase --include=python3,git,ca-certificates "$release" "$work/base" \
        >"$top/debootstrap.log" 2>&1 || missing "debootstrap failed: $top/debootstrap.log"
    cd "$work/base"
    rm -rf var/cache/apt/* var/lib/apt/lists/* var/log/* usr/share/doc usr/share/man \
        usr/share/locale usr/share/info usr/share/zoneinfo root dev proc sys
    mkdir dev proc root sys
    tar -cf "$base.new" .
    cd "$top"
    mv "$base.new" "$base"
fi
rm -rf "$work"
find "$top" -name '*.tar' ! -name "*-$recipe.tar" -delete
echo "Docker for the tests is in .tools/docker."
