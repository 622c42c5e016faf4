#!/bin/sh
# The real agents that tests drive, into .tools: by npm, at fixed versions. They talk to a
# scripted model server on this machine only. `make test` reads .tools/env, which names each
# program in its variable; a variable that is set before is left as it is.
set -eu
cd "$(dirname "$0")/.."

# VARIABLE, its program, its package: one a line.
agents='
BULLPEN_TEST_CLAUDE claude @anthropic-ai/claude-code@2.1.197
BULLPEN_TEST_CODEX codex @openai/codex@0.169.0
BULLPEN_TEST_CLAUDE_ACP claude-agent-acp @agentclientprotocol/claude-agent-acp@0.49.0
BULLPEN_TEST_OPENCODE opencode opencode-ai@1.18.33
BULLPEN_TEST_GEMINI gemini @google/gemini-cli@0.61.0
BULLPEN_TEST_CODEX_ACP codex-acp @zed-industries/codex-acp@0.16.0
'
stamp=.tools/.installed

packages=$(echo "$agents" | awk 'NF { print $3 }')
if [ "$(cat "$stamp" 2>/dev/null)" != "$packages" ] && command -v npm >/dev/null 2>&1; then
    echo "Installing for the tests:" $packages "…"
    mkdir -p .tools
    # shellcheck disable=SC2086 # several words are meant
    if npm install --silent --no-audit --no-fund --prefix .tools --no-save $packages \
        >.tools/npm.log 2>&1; then
        printf '%s' "$packages" >"$stamp"
    fi
fi

mkdir -p .tools
missing=$(echo "$agents" | while read -r variable program package; do
    [ -n "$variable" ] || continue
    path=$PWD/.tools/node_modules/.bin/$program
    if [ -x "$path" ]; then
        echo ": \"\${$variable:=$path}\"; export $variable" >&3
    elif eval "[ -z \"\${$variable:-}\" ]" && ! command -v "$program" >/dev/null 2>&1; then
        echo "Missing here: $program (npm install -g ${package%@*})."
    fi
done 3>.tools/env)
if [ -n "$missing" ]; then
    echo "$missing" >&2
    if [ "${BULLPEN_REQUIRE_ALL:-}" = 1 ]; then
        exit 1
    fi
fi
