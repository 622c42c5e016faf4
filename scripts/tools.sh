#!/bin/sh
# The real agents that tests drive, into .tools: by npm, at a fixed version. They talk to a
# scripted model server on this machine only.
set -eu
cd "$(dirname "$0")/.."
claude="@anthropic-ai/claude-code@2.1.197"
stamp=.tools/.installed

if [ -n "${BULLPEN_TEST_CLAUDE:-}" ] || [ "$(cat "$stamp" 2>/dev/null)" = "$claude" ]; then
    exit 0
fi
if command -v npm >/dev/null 2>&1; then
    echo "Installing for the tests: $claude …"
    mkdir -p .tools
    if npm install --silent --no-audit --no-fund --prefix .tools --no-save "$claude" \
        >.tools/npm.log 2>&1; then
        printf '%s' "$claude" >"$stamp"
        exit 0
    fi
fi
echo "Missing here: Claude Code (npm install -g @anthropic-ai/claude-code)." >&2
if [ "${BULLPEN_REQUIRE_ALL:-}" = 1 ]; then
    exit 1
fi
