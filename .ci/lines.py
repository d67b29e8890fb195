"""Print the share of lines that the tests ran, and the ten files with the most lines missed."""

import json
import sys
from pathlib import Path

GOAL = 95  # % of the lines of src


def main(path: str) -> None:
    """Read the JSON report that `coverage json` wrote."""
    report = json.loads(Path(path).read_text(encoding="utf-8"))
    missed = sorted(
        ((part["summary"]["missing_lines"], name) for name, part in report["files"].items()),
        reverse=True,
    )
    for lines, name in missed[:10]:
        summary = report["files"][name]["summary"]
        print(f"{lines:5} lines missed, {summary['percent_covered']:3.0f} % covered  {name}")
    totals = report["totals"]
    print(
        f"coverage: {totals['percent_covered']:.1f} % of {totals['num_statements']} lines"
        f" (goal {GOAL} %)"
    )


if __name__ == "__main__":
    main(sys.argv[1])
