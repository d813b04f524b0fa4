"""`appliance config log`: every change, from its files; the program that makes them need not run."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from appliance.base.paths import Paths
from appliance.cli.table import printable_text, table_lines
from appliance.config.history import History, view_from


def show_log(number: int | None, *, as_json: bool) -> int:
    """Print all changes, or one; 0. ApplianceError when there is none of this number."""
    history = History(Paths.from_environment().configuration.parent)
    views = [view_from(history, one) for one in ([number] if number is not None else history.numbers())]
    if as_json:
        print(json.dumps(views, indent=1, ensure_ascii=False))
    elif number is not None:
        print("\n".join(map(printable_text, _lines_of(views[0]))))
    else:
        rows = [(str(one["number"]), _moment(one["at"]), one["who"], one["state"], _gist(one)) for one in views]
        print("\n".join(table_lines(rows)) if rows else "Nothing was changed here yet.")
    return 0


def _gist(view: dict[str, Any]) -> str:
    changes = view["changes"]
    first = changes[0] if changes else "nothing but its writing"
    more = f"; and {len(changes) - 1} more" if len(changes) > 1 else ""
    why = f" ({view['why']})" if view["state"] == "rolled back" else ""
    return printable_text(f"{first}{more}{why}")


def _lines_of(view: dict[str, Any]) -> list[str]:
    ended = f" by {view['ended_by']}, {_moment(view['ended_at'])}" if view["ended_by"] else ""
    return [
        f"Change {view['number']} ({view['what']}), proposed by {view['who']}, {_moment(view['at'])}",
        *(f"  {one}" for one in view["changes"]),
        *(f"  self-test: {one}" for one in view["checks"]),
        f"{view['state']}{ended}{': ' + view['why'] if view['why'] else ''}",
    ]


def _moment(written: str) -> str:
    try:
        return datetime.fromisoformat(written).strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return "at a time that is not known"
