"""The OpenTelemetry SDK's metrics, unmodified, over gRPC and HTTP.

The scenario e2e_metrics_are_scraped_and_sent runs it with an address, the ports of gRPC
and HTTP, and a token. The last line is `done`.
"""

import sys

from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

HOST, GRPC, HTTP, TOKEN = sys.argv[1:]
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}
# A busy machine may be slow, and what was taken must not be sent again: seconds.
PATIENCE = 120


def measure(exporter, how):
    """A counter, a gauge that goes up and down, and a histogram, by the reader that a program would use."""
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    resource = Resource({"service.name": f"by-{how}", "team": "blue"})
    provider = MeterProvider(metric_readers=[reader], resource=resource)
    meter = provider.get_meter("sender")
    meter.create_counter("orders", unit="{order}").add(42, {"http.method": "POST"})
    meter.create_up_down_counter("queue.size").add(7)
    meter.create_histogram("latency", unit="s").record(0.3)
    assert provider.force_flush(PATIENCE * 1000), f"{how} was not taken in time"
    provider.shutdown()


measure(
    GrpcExporter(endpoint=f"{HOST}:{GRPC}", insecure=True, headers=AUTHORIZATION, timeout=PATIENCE),
    "grpc",
)
measure(
    HttpExporter(
        endpoint=f"http://{HOST}:{HTTP}/v1/metrics",
        headers=AUTHORIZATION,
        compression=Compression.Gzip,
        timeout=PATIENCE,
    ),
    "http",
)
print("done")
