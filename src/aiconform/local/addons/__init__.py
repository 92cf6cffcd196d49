"""Add-ons of the local cluster: upstream's own charts and manifests, applied as shipped."""
