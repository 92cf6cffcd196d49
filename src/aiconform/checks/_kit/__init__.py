"""What checks share: pod manifests and conditions, scripts and their reports, devices, claims."""
