"""`python -m tests.networks [--write]`: measure every set-up, show the table, and put it into the README."""

from __future__ import annotations

import argparse
import sys

from tests.networks.measure import FULL, SHORT, Outcome, table
from tests.networks.running import measure_all
from tests.networks.setups import SETUPS
from tests.readme_tables import put_table


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.networks", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into README.md")
    parser.add_argument("--short", action="store_true", help="as the tests do it: fewer events, more at a time")
    parser.add_argument("names", nargs="*", help="only set-ups whose name contains one of these")
    chosen = parser.parse_args()
    setups = [each for each in SETUPS if not chosen.names or any(name in each.name for name in chosen.names)]
    found = measure_all(setups, SHORT if chosen.short else FULL, 5 if chosen.short else 2)
    outcomes = [each for each in found.values() if isinstance(each, Outcome)]
    for setup in setups:
        if setup.missing is not None:
            print(f"{setup.name}: {setup.missing}", file=sys.stderr)
        elif not isinstance(found[setup.name], Outcome):
            print(f"{setup.name}: {found[setup.name]!r}", file=sys.stderr)
    print(table(outcomes))
    complete = len(outcomes) == len(SETUPS)
    if chosen.write and complete:
        put_table("networks", table(outcomes))
    elif chosen.write:
        print("README.md stays as it is: not every set-up was measured", file=sys.stderr)
    return 0 if len(outcomes) == len(setups) else 1


if __name__ == "__main__":
    sys.exit(main())
