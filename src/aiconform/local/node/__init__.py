"""What a node is made of: namespaces, cgroups, files, a first process that keeps programs running; no Kubernetes."""
