"""The only door to Kubernetes: connection, HTTP, errors."""
