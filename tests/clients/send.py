"""Senders of logs that others made, unmodified: the OpenTelemetry SDK over gRPC and
HTTP, `requests` for Loki's push, Elastic's client, and the syslog handler of Python itself.

The scenario e2e_logs_are_sent_by_others runs it with an address, the ports of gRPC, HTTP
and syslog (0: none), a token, a word that all records have, and maybe the file of an
authority: then all of them speak TLS. The last line is `done`.
"""

import logging
import logging.handlers
import os
import socket
import ssl
import sys
import time

import grpc
import requests

from elasticsearch import Elasticsearch, helpers
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from urllib3.util import Retry

HOST, GRPC, HTTP, SYSLOG, TOKEN, WORD, *AUTHORITY = sys.argv[1:]
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}
CA = AUTHORITY[0] if AUTHORITY else None
URL = f"{'https' if CA else 'http'}://{HOST}:{HTTP}"
# The name in the certificate: the address is that of a node.
NAME = "tiphys-logs.tiphys-system.svc"


# A busy machine may be slow, and what was taken must not be sent again: seconds.
PATIENCE = 120
# A node's rules may still lead to a collector that is gone: nothing was taken there.
NOT_THERE = Retry(total=None, connect=8, read=0, redirect=0, status=0, other=0, backoff_factor=0.2)


class ByName(requests.adapters.HTTPAdapter):
    """Verifies the name of the Service behind a node's address."""

    def init_poolmanager(self, *arguments, **more):
        super().init_poolmanager(*arguments, assert_hostname=NAME, **more)


def http():
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=NOT_THERE))
    session.mount("https://", ByName(max_retries=NOT_THERE))
    return session


def over_http():
    session = http()
    if CA:
        # The exporter leaves the authority to a session that it is given.
        os.environ["REQUESTS_CA_BUNDLE"] = CA
    return HttpExporter(
        endpoint=f"{URL}/v1/logs",
        headers=AUTHORIZATION,
        compression=Compression.Gzip,
        certificate_file=CA,
        session=session,
        timeout=PATIENCE,
    )


def over_grpc():
    if not CA:
        return GrpcExporter(
            endpoint=f"{HOST}:{GRPC}", insecure=True, headers=AUTHORIZATION, timeout=PATIENCE
        )
    with open(CA, "rb") as authority:
        credentials = grpc.ssl_channel_credentials(authority.read())
    return GrpcExporter(
        endpoint=f"https://{HOST}:{GRPC}",
        credentials=credentials,
        headers=AUTHORIZATION,
        timeout=PATIENCE,
        channel_options=(("grpc.ssl_target_name_override", NAME),),
    )


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
    assert provider.force_flush(PATIENCE * 1000), f"{how} was not taken in time"
    provider.shutdown()


def loki():
    """A hundred lines of one stream in a push, each with structured metadata."""
    now = time.time_ns()
    values = [
        [str(now + number), f"{WORD} by loki", {"number": str(number), "level": "error"}]
        for number in range(100)
    ]
    stream = {"stream": {"job": "by-loki", "host": "edge-7"}, "values": values}
    with http() as session:
        answer = session.post(
            f"{URL}/loki/api/v1/push",
            json={"streams": [stream]},
            headers=AUTHORIZATION,
            verify=CA or True,
            timeout=PATIENCE,
        )
    assert answer.status_code == 204, (answer.status_code, answer.text)


def elastic():
    """A bulk by the official client, which first asks whom it talks to."""
    tls = {"ca_certs": CA, "ssl_assert_hostname": NAME} if CA else {}
    client = Elasticsearch(
        URL, basic_auth=("any", TOKEN), http_compress=True, request_timeout=PATIENCE, **tls
    )
    assert client.ping() and client.info()["version"]["number"]
    documents = (
        {"_op_type": "create", "_index": "orders", "message": f"{WORD} by elastic", "number": number}
        for number in range(100)
    )
    taken, wrong = helpers.bulk(client, documents)
    assert (taken, wrong) == (100, []), (taken, wrong)


def syslog():
    """A line over TCP, or over TLS with its length before it (RFC 5425)."""
    if CA:
        message = f"<11>1 - edge sender 7 - - {WORD} by syslog".encode()
        context = ssl.create_default_context(cafile=CA)
        with socket.create_connection((HOST, int(SYSLOG))) as plain:
            with context.wrap_socket(plain, server_hostname=NAME) as stream:
                stream.sendall(b"%d %s" % (len(message), message))
                stream.unwrap()
        return
    handler = logging.handlers.SysLogHandler((HOST, int(SYSLOG)), socktype=socket.SOCK_STREAM)
    handler.ident, handler.append_nul = "sender[7]: ", False
    handler.setFormatter(logging.Formatter("%(message)s\n"))
    logger = logging.getLogger("by-syslog")
    logger.addHandler(handler)
    logger.error("%s by syslog", WORD)
    handler.close()


opentelemetry(over_grpc(), "grpc")
opentelemetry(over_http(), "http")
loki()
elastic()
if SYSLOG != "0":
    syslog()
print("done")
