#!/usr/bin/env bash
# Prints what CHANGELOG.md says of one version: release-notes.sh 1.2.3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

notes=$(awk -v heading="## [$1]" 'index($0, "## [") == 1 {on = index($0, heading) == 1; next} /^\[.*\]: / {next} on' CHANGELOG.md)
if [ -z "${notes//[[:space:]]/}" ]; then
  echo "CHANGELOG.md says nothing of $1: write down what changes for users" >&2
  exit 1
fi
echo "$notes"
