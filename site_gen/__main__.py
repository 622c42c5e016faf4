"""`python -m site_gen --data DIR [--out DIR] [--once]`: builds the site of a data folder."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from site_gen.build import Builder
from site_gen.child import serve
from site_gen.render import Settings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m site_gen", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, help="where the pages go (default: DATA/site)")
    parser.add_argument("--once", action="store_true", help="build once and end")
    said = parser.parse_args()
    out = said.out or said.data / "site"
    os.nice(10)  # agents and the bot go first
    try:
        if said.once:
            builder = Builder(said.data, out, Settings())
            report = builder.tick()
            builder.close()
            print(f"{report.written} written, {report.removed} removed, {report.seconds:.2f} s")
        else:
            serve(said.data, out, sys.stdin, sys.stdout)
    except KeyboardInterrupt:
        return 0  # the terminal's Control-C goes to the whole group; the bot ends us by EOF
    except Exception as error:
        print(f"The site can't be built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
