"""Metrics: the figures of this process in the text format of Prometheus."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterable
from typing import Any

from django.http.request import split_domain_port
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from quotes.conf import renamed
from quotes.live import layer
from quotes.live.live import Live

logger = logging.getLogger(__name__)

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
MAX_SKIPPED = 10  # codes that are named
LOOP_ANSWERS_WITHIN = 5.0  # seconds; else it hangs


class LiveCollector(Collector):
    """Reads the counts of this process when Prometheus requests them."""

    def __init__(self, live: Live) -> None:
        self.live = live

    def collect(self) -> Iterable[Metric]:
        """Yield all figures, those that were renamed with both names."""
        for metric in self.figures():
            yield metric
            yield from old_names(metric)

    def figures(self) -> Iterable[Metric]:
        """Yield all figures."""
        hub, limits, store = self.live.hub, self.live.limits, self.live.store
        yield gauge("sockets", "Sockets open now", limits.sockets.total())
        yield gauge("watches", "Distinct sets of symbols that open pages watch", len(hub.watches))
        rendered = len(self.live.fragments.rendered)
        yield gauge("fragments", "Fragments that are kept in memory", rendered)
        charts = self.live.charts
        yield gauge("charts", "Charts that are kept in memory", len(charts.drawn))
        series = len(charts.drawings.bars.series)
        yield gauge("chart_series", "Series of bars that charts keep in memory", series)
        yield gauge("symbols", "Active symbols", len(store.states))
        stale = sum(state.stale for state in store.states.values())
        yield gauge("stale_symbols", "Symbols whose price is stale", stale)
        yield gauge("outages", "Providers that fail now", len(store.outages))
        beat = self.live.beat
        yield live_gauge(beat.heard_at is not None and not beat.stopped)
        yield gauge("silence_seconds", "Seconds since the newest batch", beat.silence)
        if writer := self.live.writer:
            words = "Quotes, candles and held prices that wait to be written"
            yield gauges("unwritten", words, "what", writer.waiting())
            yield counter("ticks", "Ticks that the feed accepted", writer.feed.gate.count)
            yield skipped(writer.feed.skipped(MAX_SKIPPED))
        yield counter("frames", "Frames sent to pages", hub.counts["frames"])
        yield counter("slow", "Frames that had to wait for a slow page", hub.counts["slow"])
        yield counter(
            "stuck", "Sockets closed with 4013 after 30 s without progress", hub.counts["stuck"]
        )
        words = "Sockets of embedded pages closed with 4410 because they went out of view"
        yield counter("unseen", words, hub.counts["unseen"])
        yield counter(
            "batches", "Batches of the feed that were accepted", self.live.counts["batches"]
        )
        yield counter("gaps", "Gaps in the accepted batches", self.live.counts["gaps"])
        foreign = layer.ignored["foreign"]
        yield counter("foreign", "Batches of other deployments that were ignored", foreign)
        invalid = layer.ignored["invalid"]
        yield counter("invalid", "Messages of the layer that were not ours in form", invalid)
        words = "Sockets and requests refused, and sockets closed, by reason code"
        yield counters("refused", words, "reason", limits.refused)
        renders = self.live.fragments.templates.renders
        yield counters("renders", "Templates rendered, by template", "template", renders)


def old_names(metric: Metric) -> Iterable[Metric]:
    """Yield a figure with the names that it had before, which are accepted for one release."""
    for old in (old for old, new in renamed.METRICS.items() if new == metric.name):
        again = Metric(old, f"The old name of {metric.name}", metric.type)
        again.samples = [
            each._replace(name=each.name.replace(metric.name, old, 1)) for each in metric.samples
        ]
        yield again


def exposition(live: Live) -> bytes:
    """Return all figures of this process in the Prometheus text format."""
    registry = CollectorRegistry()
    registry.register(LiveCollector(live))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class InLoop(Collector):
    """Lets another thread collect figures, which only the loop of the process may read."""

    def __init__(self, collector: Collector) -> None:
        self.collector, self.loop = collector, asyncio.get_running_loop()

    def collect(self) -> Iterable[Metric]:
        """Return all figures, read in the loop; if it hangs, only that the process is not live."""

        async def read() -> list[Metric]:
            return list(self.collector.collect())

        reading = asyncio.run_coroutine_threadsafe(read(), self.loop)
        try:
            return reading.result(LOOP_ANSWERS_WITHIN)
        except TimeoutError:
            reading.cancel()  # else each request leaves a thread
            return [live_gauge(False)]


def listen(live: Live, address: str, port: int) -> None:
    """Answer Prometheus on a port of its own, in a process without pages; raise OSError."""
    registry = CollectorRegistry()
    registry.register(InLoop(LiveCollector(live)))
    ProcessCollector(registry=registry)
    server, _ = start_http_server(port, address, registry)
    server.set_app(_of_this_machine(server.get_app()))
    server.handle_error = _log_failure  # type: ignore[method-assign, assignment]


def _of_this_machine(application: Any) -> Any:
    """Refuse requests whose host is not a name of loopback.

    The name of a foreign page may lead to 127.0.0.1.
    """

    def wrapped(environ: dict[str, str], start_response: Any) -> Any:
        host, _ = split_domain_port(environ.get("HTTP_HOST", "localhost"))
        if host in LOOPBACK:
            return application(environ, start_response)
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [b"The host must be localhost, 127.0.0.1 or [::1]."]

    return wrapped


def _log_failure(_: object, client: tuple[str, int]) -> None:
    logger.debug("could not answer Prometheus: %r", sys.exception())


def skipped(counts: dict[tuple[str, str], int]) -> Metric:
    """Return the counter of superseded ticks, by provider and code."""
    words = "Superseded ticks that were left out, for the codes with the most of them"
    family = CounterMetricFamily("quotes_skipped", words, labels=["provider", "code"])
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family


def live_gauge(live: bool) -> Metric:
    """Return the figure that is 1 while this process hears the feed."""
    return gauge("live", "1 while this process hears the feed, else 0", int(live))


def gauge(name: str, text: str, value: float) -> Metric:
    """Return a figure that rises and falls."""
    return GaugeMetricFamily(f"quotes_{name}", text, value=value)


def gauges(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    """Return a figure that rises and falls, for each value of a label."""
    family = GaugeMetricFamily(f"quotes_{name}", text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def counter(name: str, text: str, value: float) -> Metric:
    """Return a figure that only rises while the process runs."""
    return CounterMetricFamily(f"quotes_{name}", text, value=value)


def counters(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    """Return a counter for each value of a label."""
    family = CounterMetricFamily(f"quotes_{name}", text, labels=[label])
    for value, count in sorted(values.items()):
        family.add_metric([value], count)
    return family
