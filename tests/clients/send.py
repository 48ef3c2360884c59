"""Senders of logs that others made, unmodified: the OpenTelemetry SDK over gRPC and
HTTP, Elastic's client, and the syslog handler of Python itself.

The scenario e2e_logs_are_sent_by_others runs it with an address, the ports of gRPC, HTTP
and syslog (0: none), a token and a word that all records have. The last line is `done`.
"""

import logging
import logging.handlers
import socket
import sys
import time

from elasticsearch import Elasticsearch, helpers
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

HOST, GRPC, HTTP, SYSLOG, TOKEN, WORD = sys.argv[1:]
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}


def opentelemetry(exporter, how):
    """A hundred records in one stream, by the batching that a program would use."""
    provider = LoggerProvider(resource=Resource({"service.name": f"by-{how}", "team": "blue"}))
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("sender")
    for number in range(100):
        now = time.time_ns()
        logger.emit(
            LogRecord(
                timestamp=now,
                observed_timestamp=now,
                severity_number=SeverityNumber.WARN,
                severity_text="WARN",
                body=f"{WORD} by {how}",
                attributes={"number": number, "cart": {"items": [1, 2]}},
            )
        )
    assert provider.force_flush(60_000), f"{how} was not taken within a minute"
    provider.shutdown()


def elastic():
    """A bulk by the official client, which first asks whom it talks to."""
    client = Elasticsearch(f"http://{HOST}:{HTTP}", basic_auth=("any", TOKEN), http_compress=True)
    assert client.ping() and client.info()["version"]["number"]
    documents = (
        {"_op_type": "create", "_index": "orders", "message": f"{WORD} by elastic", "number": number}
        for number in range(100)
    )
    taken, wrong = helpers.bulk(client, documents)
    assert (taken, wrong) == (100, []), (taken, wrong)


def syslog():
    """A line over TCP."""
    handler = logging.handlers.SysLogHandler((HOST, int(SYSLOG)), socktype=socket.SOCK_STREAM)
    handler.ident, handler.append_nul = "sender[7]: ", False
    handler.setFormatter(logging.Formatter("%(message)s\n"))
    logger = logging.getLogger("by-syslog")
    logger.addHandler(handler)
    logger.error("%s by syslog", WORD)
    handler.close()


opentelemetry(GrpcExporter(endpoint=f"{HOST}:{GRPC}", insecure=True, headers=AUTHORIZATION), "grpc")
opentelemetry(
    HttpExporter(
        endpoint=f"http://{HOST}:{HTTP}/v1/logs", headers=AUTHORIZATION, compression=Compression.Gzip
    ),
    "http",
)
elastic()
if SYSLOG != "0":
    syslog()
print("done")
