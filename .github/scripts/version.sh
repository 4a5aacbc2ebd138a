#!/usr/bin/env bash
# Prints the version of this checkout. With a tag (v1.2.3) it first makes sure that tag, package, chart, image, samples and
# changelog name one version, and ends with 1 and a sentence for each that does not.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' operator/peerdb_operator/__init__.py)
wrong=0

expect() { # WHERE FOUND WANTED
  if [ "$2" != "$3" ]; then
    echo "$1 says '$2', the package (operator/peerdb_operator/__init__.py) says '$3': make them the same" >&2
    wrong=1
  fi
}

if [ $# -gt 0 ]; then
  chart=charts/peerdb-operator/Chart.yaml
  expect "the tag" "$1" "v$version"
  expect "version in $chart" "$(sed -n 's/^version: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$chart")" "$version"
  expect "appVersion in $chart" "$(sed -n 's/^appVersion: "\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' "$chart")" "$version"
  expect "ARG VERSION in Dockerfile" "$(sed -n 's/^ARG VERSION=//p' Dockerfile | sort -u)" "$version"
  argocd=docs/gitops/argocd/samples/operator.yaml
  flux=docs/gitops/flux/source.yaml
  expect "the tag in $argocd" "$(sed -n 's/^ *targetRevision: \(v[0-9].*\)$/\1/p' "$argocd")" "v$version"
  expect "the tag in $flux" "$(sed -n 's/^ *ref: {tag: \(.*\)}$/\1/p' "$flux")" "v$version"
  if ! grep -Eq "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md; then
    echo "CHANGELOG.md has no section '## [$version] - YYYY-MM-DD': give the unreleased changes that heading" >&2
    wrong=1
  fi
fi
[ "$wrong" -eq 0 ]
echo "$version"
