"""What machines are told: metrics, dashboard and events are those that the documents name, all of them and no others."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

from crdt_pos.metric_table import METRICS, Kind

HOUSE = Path(__file__).parents[2]
PAGE = (HOUSE / "docs/monitoring.md").read_text("utf-8")


def base(name: str) -> str:
    """The metric to which a series belongs."""
    plain = re.sub("_(bucket|sum|count)$", "", name)
    return plain if plain in METRICS and METRICS[plain].kind is Kind.HISTOGRAM else name


def strings(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key in value:
            yield from strings(value[key])
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


def test_the_dashboard_shows_every_metric_and_none_that_is_not_there() -> None:
    dashboard = json.loads((HOUSE / "deploy/grafana/crdt-pos.json").read_text("utf-8"))
    shown = {base(name) for text in strings(dashboard) for name in re.findall(r"crdt_pos_\w+", text)}
    assert shown == set(METRICS)
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    used = {label for expr in targets for by in re.findall(r"by \(([^)]*)\)", expr) for label in by.split(", ")}
    assert used <= {"le", "replica"} | {label for metric in METRICS.values() for label in metric.labels}


def test_the_page_has_a_row_for_every_metric_as_it_is_and_names_no_other() -> None:
    for metric in METRICS.values():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert f"| `{metric.name}` | {metric.kind} | {labels} | {metric.says} |" in PAGE
    assert {base(name) for name in re.findall(r"crdt_pos_[a-z_]+", PAGE)} == set(METRICS)


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for package in ("peers", "gossip", "crdt_pos"):
        for path in sorted((HOUSE / package).rglob("*.py")):
            text = path.read_text("utf-8")
            for node in ast.walk(ast.parse(text)) if "_log." in text else ():
                if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_log."):
                    yield path, node


def test_every_line_of_a_replica_has_an_event_and_the_page_lists_them_all() -> None:
    without = [f"{path}:{call.lineno}" for path, call in calls() if "extra" not in {one.arg for one in call.keywords}]
    assert without == []
    said = {
        name for path in {path for path, _ in calls()} for name in re.findall('"event": "(\\w+)"', path.read_text())
    }
    listed = re.findall(r"^\| `(\w+)` \| (?:info|warning|error) \|", PAGE, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert said == set(listed)
