"""Builds the local cluster's programs and images ahead of time.

``python -m aiconform.local.prebuild`` builds everything that is not optional, with ``NAME...`` behind it some programs.
"""

from __future__ import annotations

import sys

from aiconform.errors import AiconformError
from aiconform.local.components import COMPONENTS, CORE
from aiconform.local.images import table
from aiconform.local.programs import build
from aiconform.progress import Lines


def main(arguments: list[str]) -> int:
    """Build the named programs, or all, and their images."""
    progress = Lines()
    try:
        every = [name for name, component in COMPONENTS.items() if not component.optional]
        binaries = build.ensure(arguments or [*CORE, *every], progress)
        if not arguments:
            images = [name for name, image in table.IMAGES.items() if set(image.programs.values()) <= set(binaries)]
            table.ensure_images(images, binaries, progress)
    except AiconformError as error:
        sys.stderr.write(error.render() + "\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
