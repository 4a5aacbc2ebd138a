"""The Kubernetes API: client, credentials and the watch; kopf and kubernetes are imported here and nowhere else."""
