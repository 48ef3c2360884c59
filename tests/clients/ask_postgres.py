"""psycopg, unmodified, at the Postgres door.

The scenario e2e_every_door_is_asked runs it with a port and a token. The last line is `done`.
"""

import sys
from datetime import datetime, timedelta, timezone

import psycopg

PORT, TOKEN = sys.argv[1:]
TARGET = f"host=127.0.0.1 port={PORT} user=anybody dbname=tiphys sslmode=require"
NODES = ["node-1", "node-2", "node-3"]

with psycopg.connect(TARGET, password=TOKEN, autocommit=True) as connection:
    # Without parameters, and with them, which go by the extended protocol.
    rows = connection.execute("select distinct node from node order by node").fetchall()
    assert [node for (node,) in rows] == NODES, rows
    since = datetime.now(timezone.utc) - timedelta(minutes=5)
    asked = "select time, node, memory_usage_bytes from node where node = %s and time > %s order by time desc limit 1"
    for binary in [False, True]:
        with connection.cursor(binary=binary) as cursor:
            cursor.execute(asked, ("node-2", since))
            assert [column.name for column in cursor.description] == ["time", "node", "memory_usage_bytes"]
            time, node, used = cursor.fetchone()
            assert node == "node-2" and used > 0 and time > since, (time, node, used)
    # A statement that is wrong ends with it.
    try:
        connection.execute("select nothing from nowhere")
    except psycopg.Error as error:
        assert "nowhere" in str(error), error
    else:
        raise SystemExit("a wrong statement was answered")
    assert connection.execute("select 1").fetchone() == (1,)
try:
    psycopg.connect(TARGET, password="wrong").close()
except psycopg.OperationalError:
    print("done")
else:
    raise SystemExit("a wrong token was let in")
