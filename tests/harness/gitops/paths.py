"""Where the files for Argo CD and Flux lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
GITOPS = ROOT / "docs" / "gitops"
ARGOCD = GITOPS / "argocd"
FLUX = GITOPS / "flux"
MIRROR = ARGOCD / "resource_customizations" / "peerdb.io" / "Mirror"
SUSPENDED = ARGOCD / "resource_customizations-suspended" / "peerdb.io" / "Mirror"
TESTDATA = MIRROR / "testdata"
ACTIONS = MIRROR / "actions"
ACTION_TESTDATA = ACTIONS / "testdata"
