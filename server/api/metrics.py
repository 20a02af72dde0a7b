"""/metrics, in the format of Prometheus. Numbers are kept where they arise, and collected when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from server.api.operation import Operation, operation
from server.chat.tally import Tally
from server.streaming.measures import Histogram, LoopLag
from server.streaming.writer import WriterTally
from server.transports.connections import Connections


class MetricsAPI:
    def __init__(self, collector: Collector) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    @operation(
        Operation(
            "GET",
            "/metrics",
            "Numbers for Prometheus",
            "Operation",
            answers={200: {"text/plain; version=0.0.4; charset=utf-8": None}},
        )
    )
    async def metrics(self, request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(self._registry), headers={"Content-Type": content_type})


class ServerCollector(Collector):
    def __init__(
        self,
        answers: Tally,
        writer: WriterTally,
        connections: Connections,
        lag: LoopLag,
        writing: Callable[[], int],
        waiting: Callable[[], int],
    ) -> None:
        self._answers = answers
        self._writer = writer
        self._connections = connections
        self._lag = lag
        self._writing = writing
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        yield self._ended()
        yield histogram(
            "xionimus_first_text_seconds", "From an answer's start to its first text", self._answers.first_text
        )
        yield histogram(
            "xionimus_visible_seconds", "From a provider's delta to readers, commit included", self._answers.visible
        )
        yield CounterMetricFamily("xionimus_events", "Events of answers on their way", self._answers.events)
        yield CounterMetricFamily("xionimus_commits", "Transactions of the log", self._writer.commits)
        yield histogram("xionimus_commit_seconds", "How long a transaction took", self._writer.seconds)
        yield histogram("xionimus_commit_jobs", "Jobs that went into one transaction", self._writer.jobs)
        yield GaugeMetricFamily("xionimus_commit_queue", "Jobs waiting for the next transaction", self._waiting())
        yield GaugeMetricFamily("xionimus_answers", "Answers being written or waiting", self._writing())
        yield GaugeMetricFamily(
            "xionimus_loop_lag_seconds", "The worst delay of the event loop since the last look", self._lag.take()
        )
        yield self._readers()

    def _ended(self) -> Metric:
        ended = CounterMetricFamily(
            "xionimus_answers_ended", "Answers by how they ended", labels=["provider", "model", "status"]
        )
        for labels, count in self._answers.ended.items():
            ended.add_metric(labels, count)
        return ended

    def _readers(self) -> Metric:
        readers = GaugeMetricFamily("xionimus_readers", "Open connections by transport", labels=["transport"])
        for transport, count in self._connections.counts.items():
            readers.add_metric([transport], count)
        return readers


def histogram(name: str, documentation: str, measured: Histogram) -> Metric:
    found = HistogramMetricFamily(name, documentation)
    total = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*map(str, measured.bounds), "+Inf"), measured.counts, strict=True):
        total += count
        buckets.append((bound, total))
    found.add_metric([], buckets, measured.sum)
    return found
