"""``python -m aiconform``."""

from aiconform.cli import main

main()
