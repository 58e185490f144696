"""The object API, in the Kubernetes dialect."""
