#!/usr/bin/env bash
# Get a Chromium and axe-core from the npm registry, for the tests of the web page: no root needed.
# Then: . .browser/environment
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v npm > /dev/null || { echo "no npm: the page's browser tests will be skipped" >&2; exit 1; }
mkdir -p .browser
npm install --silent --no-audit --no-fund --prefix .browser @sparticuz/chromium@147 axe-core@4
cat > .browser/where.mjs << 'SCRIPT'
import chromium from "@sparticuz/chromium";
console.log(await chromium.executablePath());
SCRIPT
unpacked=$(cd .browser && TMPDIR="$PWD" node where.mjs)
{
  echo "export FAIRY_CHROMIUM='$unpacked'"
  echo "export FAIRY_AXE='$PWD/.browser/node_modules/axe-core/axe.min.js'"
} > .browser/environment
