"""Container images made here, without Docker or a registry; :mod:`~aiconform.local.images.table` lists them."""
