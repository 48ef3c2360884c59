"""The OpenTelemetry SDK's traces, unmodified, over gRPC and HTTP.

The scenario e2e_every_door_is_asked runs it with an address, the ports of gRPC and HTTP,
and a token. The last line is `done`.
"""

import sys

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

HOST, GRPC, HTTP, TOKEN = sys.argv[1:]
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}
# A busy machine may be slow, and what was taken must not be sent again: seconds.
PATIENCE = 120


def trace(exporter, how):
    """A span within another, by the processor that a program would use; it sends at the end."""
    provider = TracerProvider(resource=Resource({"service.name": f"spans-by-{how}", "team": "blue"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("sender")
    with tracer.start_as_current_span("order", kind=SpanKind.SERVER):
        with tracer.start_as_current_span("pay", attributes={"cart.items": 2}):
            pass
    provider.shutdown()


trace(
    GrpcExporter(endpoint=f"{HOST}:{GRPC}", insecure=True, headers=AUTHORIZATION, timeout=PATIENCE),
    "grpc",
)
trace(
    HttpExporter(
        endpoint=f"http://{HOST}:{HTTP}/v1/traces",
        headers=AUTHORIZATION,
        compression=Compression.Gzip,
        timeout=PATIENCE,
    ),
    "http",
)
print("done")
