"""ADBC's driver of Flight SQL, unmodified, at the API server's port.

The scenario e2e_every_door_is_asked runs it with an address, a token and the file of the
cluster's authority. The last line is `done`.
"""

import sys

import adbc_driver_flightsql.dbapi as flight
from adbc_driver_flightsql import DatabaseOptions
from adbc_driver_manager import Error

PLACE, TOKEN, AUTHORITY = sys.argv[1:]
with open(AUTHORITY) as file:
    ROOTS = {DatabaseOptions.TLS_ROOT_CERTS.value: file.read()}


def nodes(options):
    """Which nodes there are figures of, as an Arrow table brings them."""
    with (
        flight.connect(f"grpc+tls://{PLACE}", db_kwargs=ROOTS | options, autocommit=True) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("select distinct node from node order by node")
        return cursor.fetch_arrow_table().column("node").to_pylist()


by_header = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {TOKEN}"}
by_password = {"username": "anybody", "password": TOKEN}
for way in [by_header, by_password]:
    found = nodes(way)
    assert found == ["node-1", "node-2", "node-3"], found
try:
    found = nodes({"username": "anybody", "password": "wrong"})
except Error:
    print("done")
else:
    raise SystemExit(f"a wrong token was answered {found}")
