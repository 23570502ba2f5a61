"""`make bench`: every measurement, one table each; the figures never fail the run."""

from __future__ import annotations

import argparse
import importlib
import sys

from bench.report import table

PARTS = ("codec", "voice", "fanout", "latency", "deconz", "netatmo", "entrance", "footprint")


def main() -> None:
    """Run the named parts, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is named"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a measurement")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part named {', '.join(sorted(unknown))}")
    missed = 0
    for part in arguments.parts or PARTS:
        rows = importlib.import_module(f"bench.{part}").run(quick=arguments.quick)
        missed += sum(not row.ok for row in rows)
        print(f"\n== {part}\n{table(rows)}", flush=True)
    print(f"\n{missed} figures missed their budget" if missed else "\nevery figure is within its budget")
    sys.exit(0)


if __name__ == "__main__":
    main()
