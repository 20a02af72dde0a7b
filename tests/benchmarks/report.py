"""A run's figures: as a table, as JSON, as a chart."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from tests.benchmarks.scenarios import BUSY, Outcome, Scenario

PACKAGES = ("starlette", "uvicorn", "uvloop", "sse-starlette", "openai", "httpx2")
BRIEF = 4  # figures of a scenario
COLORS = ("#2563eb", "#0d9488", "#9ca3af", "#d97706", "#dc2626")

Summary = Mapping[str, tuple[float, float, float]]  # by figure: median, least, most


class Results:
    """The outcomes of each scenario by subject, in the order in which they came."""

    def __init__(self) -> None:
        self.ceiling: Mapping[str, float] = {}  # of the load client, by what it reads
        self.disk = 0.0  # milliseconds that a small write takes
        self._scenarios: dict[str, Scenario] = {}
        self._outcomes: dict[str, dict[str, list[Outcome]]] = {}

    def add(self, scenario: Scenario, subject: str, outcome: Outcome) -> None:
        self._scenarios[scenario.key] = scenario
        self._outcomes.setdefault(scenario.key, {}).setdefault(subject, []).append(outcome)

    @property
    def subjects(self) -> list[str]:
        return list(dict.fromkeys(subject for found in self._outcomes.values() for subject in found))

    @property
    def faults(self) -> list[str]:
        return [
            f"{key}, {subject}: {fault}"
            for key, subject, outcome in self._all()
            for fault in dict.fromkeys(outcome.faults)
        ]

    @property
    def warnings(self) -> list[str]:
        return [
            f"{key}, {subject}: the readers were {outcome.figures['load %']:.0f} % busy: it may have measured itself"
            for key, subject, outcome in self._all()
            if outcome.figures.get("load %", 0) > BUSY
        ]

    def summary(self, key: str, subject: str) -> Summary:
        runs = [outcome.figures for outcome in self._outcomes[key][subject] if outcome.figures]
        names = runs[0] if runs else {}
        return {
            name: (statistics.median(values), min(values), max(values))
            for name in names
            if (values := [run[name] for run in runs if name in run])
        }

    def table(self) -> str:
        """Markdown: each scenario with its subjects, median and spread."""
        parts = []
        for key, scenario in self._scenarios.items():
            rows = [["", *scenario.columns, "server busy", "load busy"]]
            rows += [self._row(key, scenario, subject) for subject in self._outcomes[key]]
            parts.append(f"**{key}**: {scenario.title}\n\n{aligned(rows)}")
        ceiling = " and ".join(f"{value:,.0f} {name}" for name, value in self.ceiling.items())
        about = f"The load client could read {ceiling}. The disk took {number(self.disk)} ms for a small write."
        return "\n\n".join([*parts, about, ", ".join(f"{name} {what}" for name, what in machine().items())])

    def brief(self) -> str:
        """Markdown: a row for each scenario, with the medians of what counts most in it."""
        rows = [["", "", *self.subjects]]
        for key, scenario in self._scenarios.items():
            columns = scenario.columns[:BRIEF]
            summaries = [self.summary(key, each) if each in self._outcomes[key] else {} for each in self.subjects]
            cells = [" · ".join(number(found[name][0]) for name in columns if name in found) for found in summaries]
            rows.append([f"{key}: {scenario.title}", " · ".join(columns), *cells])
        return aligned(rows)

    def json(self) -> dict[str, Any]:
        return {
            "machine": machine(),
            "ceiling": dict(self.ceiling),
            "disk ms": self.disk,
            "faults": self.faults,
            "warnings": self.warnings,
            "scenarios": {
                key: {
                    "title": scenario.title,
                    "columns": list(scenario.columns),
                    "subjects": {
                        subject: {
                            "runs": [outcome.figures for outcome in outcomes],
                            "median": {name: median for name, (median, _, _) in self.summary(key, subject).items()},
                        }
                        for subject, outcomes in self._outcomes[key].items()
                    },
                }
                for key, scenario in self._scenarios.items()
            },
        }

    def svg(self) -> str:
        """A panel for each scenario, a bar for each subject: the scenario's first figure."""
        panels = []
        for key, scenario in self._scenarios.items():
            first = scenario.columns[0]
            panels.append((f"{key} · {first} ({better(first)})", scenario.title, self._bars(key, first)))
        return chart(panels, self.subjects)

    def _bars(self, key: str, column: str) -> dict[str, tuple[float, float, float]]:
        found = {subject: self.summary(key, subject).get(column) for subject in self._outcomes[key]}
        return {subject: bar for subject, bar in found.items() if bar is not None}

    def _row(self, key: str, scenario: Scenario, subject: str) -> list[str]:
        summary = self.summary(key, subject)
        busy = [f"{summary[name][0]:.0f} %" if name in summary else "" for name in ("server %", "load %")]
        return [subject, *(cell(summary.get(column)) for column in scenario.columns), *busy]

    def _all(self) -> list[tuple[str, str, Outcome]]:
        return [
            (key, subject, outcome)
            for key, found in self._outcomes.items()
            for subject, outcomes in found.items()
            for outcome in outcomes
        ]


def better(column: str) -> str:
    return "more is better" if column.endswith("/s") else "less is better"


def cell(figure: tuple[float, float, float] | None) -> str:
    if figure is None:
        return "-"
    median, least, most = figure
    return number(median) if least == most else f"{number(median)} ({number(least)} to {number(most)})"


def number(value: float) -> str:
    """Three figures that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ["| " + " | ".join(text.ljust(widths[place]) for place, text in enumerate(row)) + " |" for row in rows]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def machine() -> dict[str, str]:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "cpu": f"{os.cpu_count()} x {cpu}",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }


# The chart.

WIDTH, LABEL, BAR, PANEL_HEAD, MARGIN = 760, 90, 16, 44, 16
PLOT = WIDTH - LABEL - 150
FONT = "font-family='system-ui, sans-serif'"

Panel = tuple[str, str, Mapping[str, tuple[float, float, float]]]


def chart(panels: Sequence[Panel], subjects: Sequence[str]) -> str:
    color = {subject: COLORS[place % len(COLORS)] for place, subject in enumerate(subjects)}
    parts: list[str] = []
    top = float(MARGIN)
    for name, title, bars in panels:
        parts.append(f"<text x='{MARGIN}' y='{top + 14}' font-size='14' font-weight='600'>{escape(name)}</text>")
        parts.append(f"<text x='{MARGIN}' y='{top + 31}' font-size='11' fill='#666'>{escape(title)}</text>")
        most = max((bar[2] for bar in bars.values()), default=1) or 1
        for place, (subject, bar) in enumerate(bars.items()):
            parts += drawn(top + PANEL_HEAD + place * (BAR + 4), subject, bar, most, color[subject])
        top += PANEL_HEAD + len(bars) * (BAR + 4) + MARGIN
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {top:.0f}' width='{WIDTH}' {FONT}>"
    return "\n".join([head, f"<rect width='{WIDTH}' height='{top:.0f}' fill='white'/>", *parts, "</svg>", ""])


def drawn(y: float, subject: str, bar: tuple[float, float, float], most: float, color: str) -> list[str]:
    """A bar with its spread and its figure."""
    median, low, high = (PLOT * value / most for value in bar)
    middle = y + BAR / 2
    return [
        f"<text x='{LABEL - 6}' y='{y + 12}' font-size='11' text-anchor='end'>{escape(subject)}</text>",
        f"<rect x='{LABEL}' y='{y}' width='{median:.1f}' height='{BAR}' fill='{color}'/>",
        f"<path d='M{LABEL + low:.1f} {middle}H{LABEL + high:.1f}' stroke='#111' stroke-width='1.5'/>",
        f"<text x='{LABEL + high + 6:.1f}' y='{y + 12}' font-size='11'>{number(bar[0])}</text>",
    ]
