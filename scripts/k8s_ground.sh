#!/bin/sh
# A real Kubernetes for the tests: built once from Debian's source package (about 5 min, offline
# after the download), kept by the package's version in the user's cache, so that another clone
# doesn't build it again; .tools/k8s/current leads there. Where that can't be had, the tests that
# need it are skipped by name; with BULLPEN_REQUIRE_ALL=1 that is a failure.
set -eu
cd "$(dirname "$0")/.."
top=$PWD/.tools/k8s
cache=${XDG_CACHE_HOME:-${HOME:-$top}/.cache}/bullpen-tests/k8s
parts="kube-apiserver kube-controller-manager kube-scheduler kubelet"

missing() {
    echo "Missing here: Kubernetes for the tests ($1)." >&2
    if [ "${BULLPEN_REQUIRE_ALL:-}" = 1 ]; then
        exit 1
    fi
    exit 0
}

whole() { # FOLDER
    for part in $parts; do
        if [ ! -x "$1/$part" ]; then
            return 1
        fi
    done
}

# One at a time, whoever asks first, in whichever clone.
mkdir -p "$top"
mkdir -p "$cache" 2>/dev/null || cache=$top
exec 9>"$cache/lock"
flock 9

if whole "$top/current" && command -v etcd >/dev/null 2>&1; then
    exit 0
fi
command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || missing "needs root on Debian"

export DEBIAN_FRONTEND=noninteractive
install() { # PACKAGES
    echo "Installing for the tests: $* …"
    { apt-get update -qq || true; apt-get install -y -qq --no-install-recommends "$@"; } \
        >/dev/null 2>"$top/apt.log" || missing "apt-get install $* failed: $top/apt.log"
}
command -v etcd >/dev/null 2>&1 || install etcd-server

# The source packages' lists, in a folder of our own: the system's stay as they are.
build=$top/build
rm -rf "$build"
mkdir -p "$build/lists/partial" "$build/parts" "$build/gopath/src/k8s.io"
trap 'rm -rf "$build"' EXIT
trap 'exit 1' INT TERM HUP
for list in /etc/apt/sources.list.d/debian.sources; do
    [ -f "$list" ] && sed 's/^Types:.*/Types: deb-src/' "$list" >"$build/parts/debian.sources"
done
if [ -f /etc/apt/sources.list ]; then
    sed -n 's/^deb\(-src\)\{0,1\} /deb-src /p' /etc/apt/sources.list >"$build/parts/plain.list"
fi
own_apt() { # PROGRAM COMMAND …
    "$@" -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$build/parts" \
        -o Dir::State::lists="$build/lists" -o APT::Sandbox::User=root \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
}
use() { # VERSION
    ln -sfn "$cache/$1" "$top/current"
    echo "Kubernetes $1 is in .tools/k8s/current."
    exit 0
}
cd "$build"
own_apt apt-get update -qq >"$top/source.log" 2>&1 ||
    missing "apt-get update failed: $top/source.log"
version=$(own_apt apt-cache showsrc --only-source kubernetes 2>>"$top/source.log" |
    sed -n 's/^Version: //p' | sort -V | tail -n 1)
[ -n "$version" ] || missing "there is no source of kubernetes here: $top/source.log"
if whole "$cache/$version"; then
    use "$version"
fi

install golang-go dpkg-dev
echo "Getting the source of Kubernetes …"
own_apt apt-get source -qq "kubernetes=$version" >"$top/source.log" 2>&1 ||
    missing "apt-get source kubernetes failed: $top/source.log"
mv "$build"/kubernetes-*/ "$build/gopath/src/k8s.io/kubernetes"
rm -f kubernetes_*

echo "Building Kubernetes $version for the tests, once (about 5 min) …"
cd "$build/gopath/src/k8s.io/kubernetes"
export GOPATH="$build/gopath" GO111MODULE=off CGO_ENABLED=0 GOFLAGS='' GOCACHE="$build/cache"
release=$(echo "$version" | sed 's/.*really//; s/-.*//')
stamp="k8s.io/kubernetes/vendor/k8s.io"
flags="-s -w"
for package in component-base client-go/pkg; do
    flags="$flags -X $stamp/$package/version.gitVersion=v$release"
    flags="$flags -X $stamp/$package/version.gitMajor=${release%%.*}"
    minor=${release#*.}
    flags="$flags -X $stamp/$package/version.gitMinor=${minor%%.*}"
done
make_it() {
    nice -n 15 go build -o "$build/openapi-gen" ./vendor/k8s.io/kube-openapi/cmd/openapi-gen
    # The one generated file that the package lacks.
    wanted=$(grep -rlR --include='*.go' '^// *+k8s:openapi-gen=' pkg cmd vendor/k8s.io/*/ |
        grep -v -e /_examples/ -e /kube-openapi/ -e sample-apiserver -e /vendor/.*/vendor/ |
        xargs -n1 dirname | LC_ALL=C sort -u | sed 's#^#k8s.io/kubernetes/#' | paste -sd,)
    nice -n 15 "$build/openapi-gen" --logtostderr -i "$wanted" \
        -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
        -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$build/violations"
    mkdir "$build/bin"
    for part in $parts; do
        nice -n 15 go build -trimpath -ldflags "$flags" -o "$build/bin/$part" "./cmd/$part"
    done
}
(set -e; make_it) >"$top/build.log" 2>&1 || missing "the build failed: $top/build.log"
rm -rf "${cache:?}/$version"
mv "$build/bin" "$cache/$version"
use "$version"
