"""Metrics: what this process has counted, in Prometheus' words."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from quotes.live.live import Live


class LiveCollector(Collector):
    """Reads the counts of the live parts when it is asked."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def collect(self) -> Iterable[Metric]:
        """Yield every figure."""
        hub, limits, store = self.live.hub, self.live.limits, self.live.store
        yield gauge("sockets", "Sockets open now", limits.sockets.total())
        yield gauge("watches", "Different things that pages watch now", len(hub.watches))
        yield gauge("symbols", "Symbols listed", len(store.states))
        stale = sum(state.stale for state in store.states.values())
        yield gauge("stale_symbols", "Symbols whose price is older than promised", stale)
        yield gauge("outages", "Providers that can't be read", len(store.outages))
        yield counter("frames", "Frames sent to pages", hub.counts["frames"])
        yield counter("slow", "Frames that a page could not take at once", hub.counts["slow"])
        yield counter("stuck", "Pages closed with 4013, stuck for 30 s", hub.counts["stuck"])
        yield counter("batches", "Batches heard from the layer", self.live.counts["batches"])
        yield counter("gaps", "Times that batches were missed", self.live.counts["gaps"])
        yield labelled("refused", "Sockets refused or closed", "reason", limits.refused)
        yield labelled("renders", "Templates rendered", "template", self.live.fragments.renders)


def exposition(live: Live) -> bytes:
    """Return all figures of this process in the Prometheus text format."""
    registry = CollectorRegistry()
    registry.register(LiveCollector(live))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def gauge(name: str, says: str, value: float) -> Metric:
    """Return a figure that rises and falls."""
    return GaugeMetricFamily(f"quotes_{name}", says, value=value)


def counter(name: str, says: str, value: float) -> Metric:
    """Return a figure that only rises while the process runs."""
    return CounterMetricFamily(f"quotes_{name}", says, value=value)


def labelled(name: str, says: str, label: str, values: dict[str, int]) -> Metric:
    """Return a counter for each value of a label."""
    family = CounterMetricFamily(f"quotes_{name}", says, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family
