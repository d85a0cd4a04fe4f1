"""``crdt-pos`` and ``python -m crdt_pos``.

The command must work in any folder, also one with packages named ``tools`` or ``peers`` of its own. ``python -m`` puts the
current folder first on the path, and running this file puts the package's own folder there: both are taken out before
anything of ours is imported, unless it is where ``crdt_pos`` itself lives.
"""

from __future__ import annotations

import os
import sys


def _settle_path() -> None:
    # os and sys are loaded already; pathlib might still come from the current folder.
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    if not sys.flags.safe_path and os.path.realpath(sys.path[0]) != os.path.realpath(home):
        del sys.path[0]
    if all(os.path.realpath(place) != os.path.realpath(home) for place in sys.path):
        sys.path.insert(0, home)


def main() -> None:
    """Run ``crdt-pos`` with the process's arguments, and exit."""
    from crdt_pos import cli

    sys.exit(cli.run(sys.argv[1:]))


if __name__ == "__main__":
    _settle_path()
    main()
