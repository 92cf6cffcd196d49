"""The accelerator exporter's image: a program of ours, NVIDIA's bindings to NVML, and Prometheus' client library."""
