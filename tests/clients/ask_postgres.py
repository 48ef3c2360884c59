"""psycopg and a pool of asyncpg, unmodified, at the Postgres door.

The scenario e2e_every_door_is_asked runs it with a port and a token. The last line is `done`.
"""

import asyncio
import sys
from datetime import datetime, timedelta, timezone

import asyncpg
import psycopg

PORT, TOKEN = sys.argv[1:]
TARGET = f"host=127.0.0.1 port={PORT} user=anybody dbname=tiphys sslmode=require"
NODES = ["node-1", "node-2", "node-3"]


async def pooled():
    target = {"host": "127.0.0.1", "port": int(PORT), "user": "anybody", "database": "tiphys", "ssl": "require"}
    # One connection, which the second round is given again.
    async with asyncpg.create_pool(**target, password=TOKEN, min_size=1, max_size=1) as pool:
        for _ in range(2):
            async with pool.acquire() as connection:
                asked = "select distinct node from node where node <> $1 order by node"
                rows = await connection.fetch(asked, "node-2")
                assert [row["node"] for row in rows] == ["node-1", "node-3"], rows
                for name, value in [("transaction isolation level", "read committed"), ("statement_timeout", "0")]:
                    shown = await connection.fetchval("show " + name)
                    assert shown == value, (name, shown)
                await connection.execute("set statement_timeout = '90s'")
                assert await connection.fetchval("show statement_timeout") == "90s"


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
    # What pools and frameworks ask when they begin, by both protocols.
    for prepare in [False, True]:
        for name, value in [("transaction isolation level", "read committed"), ("standard_conforming_strings", "on")]:
            assert connection.execute("show " + name, prepare=prepare).fetchone() == (value,), name
    try:
        connection.execute("show nothing_such", prepare=True)
    except psycopg.errors.UndefinedObject:
        pass
    else:
        raise SystemExit("a setting that there is not was shown")
    # How dates are written the driver must know, also once a pool has set it back.
    for said, style in [("set datestyle = German", "German"), ("reset all", "ISO, YMD")]:
        connection.execute(said)
        assert connection.info.parameter_status("DateStyle") == style, said
    # A statement that is wrong ends with it.
    try:
        connection.execute("select nothing from nowhere")
    except psycopg.Error as error:
        assert "nowhere" in str(error), error
    else:
        raise SystemExit("a wrong statement was answered")
    assert connection.execute("select 1").fetchone() == (1,)
asyncio.run(pooled())
try:
    psycopg.connect(TARGET, password="wrong").close()
except psycopg.OperationalError:
    print("done")
else:
    raise SystemExit("a wrong token was let in")
