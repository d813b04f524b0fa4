"""The OpenMetrics text, read by Prometheus's own parser."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed

from appliance.base.openmetrics import Family, Kind, Sample, text_from


def test_ok__golden() -> None:
    families = (
        Family("box", Kind.INFO, "Which.", (Sample(1, {"version": "0.1"}),)),
        Family("box_free_bytes", Kind.GAUGE, 'Free "now".', (Sample(1.5e9),), "bytes"),
        Family("box_seen", Kind.COUNTER, "Seen.", (Sample(2, {"at": "a\\b\n"}), Sample(0.25))),
        Family("box_silent", Kind.GAUGE, "Unknown now.", ()),
    )
    assert text_from(families) == (
        '# TYPE box info\n# HELP box Which.\nbox_info{version="0.1"} 1\n'
        '# TYPE box_free_bytes gauge\n# UNIT box_free_bytes bytes\n# HELP box_free_bytes Free \\"now\\".\n'
        "box_free_bytes 1500000000\n"
        '# TYPE box_seen counter\n# HELP box_seen Seen.\nbox_seen_total{at="a\\\\b\\n"} 2\nbox_seen_total 0.25\n'
        "# EOF\n"
    )


@given(st.text(max_size=30), st.floats(0, 1e15), st.sampled_from(Kind))
def test_ok__prometheus_reads_whatever_a_label_says(label: str, value: float, kind: Kind) -> None:
    label = label.encode("utf-8", "ignore").decode()  # what a name in a configuration can be
    value = 1.0 if kind is Kind.INFO else value
    text = text_from([Family("box", kind, "Help.", (Sample(value, {"name": label}),))])
    (family,) = parsed(text)
    (sample,) = family.samples
    assert sample.labels == {"name": label} and math.isclose(sample.value, value)


def test_fail__the_parser_sees_a_missing_end() -> None:
    with pytest.raises(ValueError, match="EOF"):
        list(parsed(text_from(()).removesuffix("# EOF\n") + "# TYPE x gauge\nx 1\n"))
