#!/bin/sh
# Exit 0 when the built page under server/web/static is what these sources build; 1, with the difference, when it is not.
set -eu
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci --no-audit --no-fund
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
npx --no-install vite build --outDir "$fresh" --emptyOutDir --logLevel warn
if diff -rq "$fresh" ../server/web/static; then
    echo "The built page is in step with its sources."
else
    echo "The built page is not what the sources build: run \`npm run build\` in frontend/." >&2
    exit 1
fi
