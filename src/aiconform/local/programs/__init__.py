"""Where a local cluster's programs come from: Go modules built here, packages from PyPI. Knows no image and no node."""
