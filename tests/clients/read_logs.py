"""Readers of logs that others made, unmodified: `requests` for the JSON API and Loki's, and
`websocket-client` for Loki's live tail.

The scenario e2e_logs_are_read_by_others runs it with the server's URL, the file of its
authority, and a token that may read the logs of the namespace `readers` only, where the
Pod `bittern` talks. The last line is `done`.
"""

import json
import sys
import time
from urllib.parse import urlencode

import requests
import websocket

SERVER, CA, TOKEN = sys.argv[1:]
LOKI = f"{SERVER}/tiphys/loki/loki/api/v1"
AUTHORIZATION = {"Authorization": f"Bearer {TOKEN}"}
MAIN = '{app="bittern", container="main"}'

session = requests.Session()
# The environment may name another authority.
session.trust_env, session.verify = False, CA
session.headers.update(AUTHORIZATION)


def ok(answer):
    assert answer.status_code == 200, (answer.url, answer.status_code, answer.text)
    return answer.json()


def loki(path, form=False, **parameters):
    """By GET, or by POST with the parameters as a form, as Grafana sends them."""
    url = f"{LOKI}/{path}"
    call = session.post(url, data=parameters) if form else session.get(url, params=parameters)
    answer = ok(call)
    assert answer["status"] == "success" and "warnings" not in answer, answer
    return answer["data"]


def labels():
    names = set(loki("labels"))
    own = {"namespace", "pod", "container", "node", "stream", "level", "app", "tier"}
    assert own <= names, names
    # The token's namespace is all that there is for its reader.
    assert loki("label/namespace/values") == ["readers"]
    assert loki("label/container/values", query='{app="bittern"}') == ["main", "side"]
    assert loki("label/level/values", query=MAIN) == ["error", "info"]
    [series] = loki("series", **{"match[]": MAIN})
    assert (series["pod"], series["tier"]) == ("bittern", "marsh"), series


def queries():
    for form in (False, True):
        lines = loki("query_range", form, query=f"{MAIN} | logfmt | status >= 500", limit="10")
        assert lines["resultType"] == "streams", lines
        [stream] = lines["result"]
        [[_, line]] = stream["values"]
        assert line.endswith("took=0.5") and stream["stream"]["number"] == "4", stream

        counts = f"sum by (level) (count_over_time({MAIN}[1h]))"
        counts = loki("query_range", form, query=counts, step="60")
        assert counts["resultType"] == "matrix", counts
        last = {one["metric"]["level"]: one["values"][-1][1] for one in counts["result"]}
        assert last == {"error": "1", "info": "4"}, counts


def tail(query, **more):
    """The lines of the first message."""
    url = f"{LOKI}/tail?{urlencode({'query': query, **more})}".replace("https:", "wss:", 1)
    socket = websocket.create_connection(
        url, timeout=120, header=AUTHORIZATION, sslopt={"ca_certs": CA}
    )
    message = json.loads(socket.recv())
    socket.close()
    return [line for stream in message["streams"] for _, line in stream["values"]]


def tails():
    past = tail(f'{MAIN} |= "number="', start=str(int(time.time()) - 3600))
    assert len(past) == 4, past
    # The Pod says this each second.
    live = tail('{app="bittern", container="side"}')
    assert set(live) == {"tick"}, live


def api(path, **request):
    answer = ok(session.post(f"{SERVER}/tiphys/v1/logs/{path}", json=request))
    assert answer["partial"] == [] and answer["restricted"], answer
    return answer


def questions():
    [hit] = api("search", query="bittern status:500")["records"]
    for scope in ("pod", "node"):
        around = api("context", id=hit["id"], before=20, after=20, scope=scope)
        records = around["before"] + [around["record"]] + around["after"]
        assert around["record"] == hit, around
        assert [record["time"] for record in records] == sorted(record["time"] for record in records)
        names = {(record["namespace"], record["node"], record["container"]) for record in records}
        assert names == {("readers", hit["node"], name) for name in ("main", "side")}, names

    query = "ns:readers container:main"
    facets = api("facets", query=query, fields=["status"], names=True, patterns=True)["facets"]
    counts = {
        field: {value["value"]: value["count"] for value in values}
        for field, values in facets.items()
    }
    assert counts["level"] == {"info": 4, "error": 1}, counts
    assert counts["status"] == {"200": 3, "500": 1}, counts
    assert counts["field"]["number"] == 4 and counts["field"]["tier"] == 5, counts
    assert counts["pattern"]["level=info msg=bittern at rest"] == 1, counts

    stats = api("stats", query=query, field="took", by=["level"], quantiles=[1], since="1h")
    groups = {one["group"]["level"]: one["points"][0] for one in stats["series"]}
    assert groups["info"]["count"] == 4 and groups["error"]["max"] == 0.5, stats

    # What a form can send is no request, and it is said what to do.
    refused = session.post(f"{SERVER}/tiphys/v1/logs/search", data={"query": "bittern"})
    assert refused.status_code == 415 and "Content-Type" in refused.json()["message"], refused.text


labels()
queries()
tails()
questions()
print("done")
