#!/bin/sh
# Makes .venv and installs into it, only when something has changed since.
# Usage: scripts/venv.sh run|dev|bench: each holds what those before it hold
set -eu
cd "$(dirname "$0")/.."
kind=$1
python=${PYTHON:-python3}

fail() {
    echo "$1" >&2
    exit 1
}

command -v "$python" >/dev/null 2>&1 ||
    fail "There is no $python here: install Python 3.11 to 3.14 (Debian: apt install python3 python3-venv)."
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' ||
    fail "Bullpen needs Python 3.11 to 3.14, and $python is $("$python" -V 2>&1): name another with PYTHON=python3.12"

extras() { # of a kind; agents on this machine get Bullpen's tools by mcp
    case $1 in
        run) echo mcp ;;
        dev) echo dev,mcp ;;
        *) echo dev,mcp,bench ;;
    esac
}

state="$PWD $("$python" -V) $(cat pyproject.toml constraints.txt | cksum)"
stamp=.venv/.bullpen

installed() {
    [ -f "$stamp-$1" ] && [ "$(cat "$stamp-$1")" = "$state $(extras "$1")" ]
}

if installed bench || installed "$kind" || { [ "$kind" = run ] && installed dev; }; then
    exit 0
fi

echo "Installing into .venv (this takes a minute, once) …"
# Its scripts name the folder they were made in: once moved, it has to be made again.
if ! grep -qF "$PWD/.venv/bin/python" .venv/bin/pip 2>/dev/null || ! .venv/bin/pip --version >/dev/null 2>&1; then
    "$python" -m venv --clear .venv >/dev/null 2>&1 ||
        fail "$python can't make a virtual environment: its venv module is missing (Debian: apt install python3-venv)."
fi
.venv/bin/python -m pip install -qq --disable-pip-version-check -c constraints.txt -e ".[$(extras "$kind")]" ||
    fail "The installation failed; what pip said stands above. Try again with: make clean"
printf '%s' "$state $(extras "$kind")" >"$stamp-$kind"
