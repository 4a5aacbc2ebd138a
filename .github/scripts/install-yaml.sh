#!/usr/bin/env bash
# Prints install.yaml: the operator's namespace, and what the chart makes of its default values, for people without Helm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cat <<'EOF'
# The PeerDB operator, made of its chart. Put the address of your PeerDB in the place of http://flow-api.peerdb:8113
# (the value of PEERDB_URL), then: kubectl apply --server-side --filename install.yaml
# Never delete the objects of this file at once: with the CustomResourceDefinition all Mirrors go.
apiVersion: v1
kind: Namespace
metadata:
  name: peerdb-system
EOF
helm template peerdb-operator charts/peerdb-operator --namespace peerdb-system --set peerdb.url=http://flow-api.peerdb:8113
