"""Metrics over HTTP, for a Prometheus server that asks: the edge to ``prometheus_client``, and loaded only if asked for.

One thread answers one request after the other, each within ``REQUEST_S``, so that whoever connects and says nothing costs a
replica nothing but that thread. Nothing is kept between two requests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Final, cast
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app  # pyright: ignore[reportUnknownVariableType]
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from crdt_pos.measuring import BOUNDS_S, CommitTimes
from crdt_pos.metric_table import METRICS, Kind, Sample
from gossip.address import Address
from gossip.errors import CannotListen

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

REQUEST_S: Final = 5
_BOUNDS: Final = (*(f"{bound:g}" for bound in BOUNDS_S), "+Inf")

Measure = Callable[[], Iterable[Sample]]
"""Reads every value now; called on the thread that answers."""


class Families(Collector):
    """Implements ``prometheus_client``'s collector over the table."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure

    def describe(self) -> Iterable[Metric]:
        return ()  # else it would be read once for being registered

    def collect(self) -> Iterator[Metric]:
        by_name: dict[str, list[Sample]] = {name: [] for name in METRICS}
        for sample in self._measure():
            by_name[sample.metric].append(sample)
        for name, samples in by_name.items():
            yield _family(name, samples)


def _family(name: str, samples: Iterable[Sample]) -> Metric:
    row = METRICS[name]
    labels = ("replica", *row.labels)
    if row.kind is Kind.HISTOGRAM:
        histogram = HistogramMetricFamily(name, row.says, labels=labels)
        for sample in samples:
            times = sample.value
            assert isinstance(times, CommitTimes)
            counts = tuple(accumulate(times.counts))
            values = [sample.labels[label] for label in labels]
            histogram.add_metric(values, list(zip(_BOUNDS, counts, strict=True)), times.sum_s)
        return histogram
    family = (CounterMetricFamily if row.kind is Kind.COUNTER else GaugeMetricFamily)(name, row.says, labels=labels)
    for sample in samples:
        assert isinstance(sample.value, int | float)
        family.add_metric([sample.labels[label] for label in labels], sample.value)
    return family


class _Request(WSGIRequestHandler):
    timeout = REQUEST_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its name in the library
        pass


@contextmanager
def serving(address: Address, measure: Measure) -> Generator[Address]:
    """Answer at ``address`` until the block ends; the address in use. Raises ``CannotListen``."""
    registry = CollectorRegistry()
    registry.register(Families(measure))
    try:
        app = cast("WSGIApplication", make_wsgi_app(registry))
        server = make_server(address.host, address.port, app, handler_class=_Request)
    except OSError as error:
        raise CannotListen(f"metrics cannot be served at {address}: {error.strerror or error}") from error
    with server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        try:
            yield Address(address.host, server.server_port)
        finally:
            server.shutdown()
