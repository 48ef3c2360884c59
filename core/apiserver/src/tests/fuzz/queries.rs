//! What stands in a URL and in its headers: paths, selectors, continue tokens, options.

use http::Method;
use serde_json::json;

use super::{
    super::harness::Harness,
    dice::Dice,
    mutate, objects,
    requests::{Asked, NAMES, collection, segment, subresource},
};

pub async fn query(api: &Harness, dice: &mut Dice) -> Asked {
    let kind = objects::kind(dice);
    let mut path = match dice.below(10) {
        0..6 => collection(kind),
        6 | 7 => format!("{}/{}", collection(kind), segment(dice.pick(NAMES))),
        8 => {
            let word = subresource(dice, kind).unwrap_or("status");
            format!("{}/{}/{word}", collection(kind), segment(dice.pick(NAMES)))
        }
        _ => dice.pick(PATHS).to_owned(),
    };
    if dice.one_in(6) {
        path = damaged(dice, path);
    }
    let tame =
        objects::is_muting(kind) || kind.plural == "namespaces" || path.contains("namespaces/default?");
    let method = match dice.below(20) {
        0..14 => Method::GET,
        14 | 15 if !tame => Method::DELETE,
        16 => Method::from_bytes(dice.pick(&["PUT", "POST", "PATCH"]).as_bytes()).expect("a method"),
        17 => {
            Method::from_bytes(dice.pick(&["HEAD", "OPTIONS", "TRACE", "LIST"]).as_bytes()).expect("a method")
        }
        _ => Method::GET,
    };
    let mut pairs = form_urlencoded::Serializer::new(String::new());
    for _ in 0..dice.below(5) {
        let (name, value) = option(api, dice, &collection(kind)).await;
        pairs.append_pair(&name, &value);
    }
    let mut query = pairs.finish();
    if dice.one_in(10) {
        query = damaged(dice, query);
    }
    // A deletion of everything that went through would leave nothing to look at.
    let rarely = if method == Method::DELETE && !dice.one_in(4) { "&dryRun=All" } else { "" };
    Asked {
        method,
        uri: format!("{path}?{query}{rarely}"),
        media: "",
        accept: accept(dice),
        body: Vec::new(),
    }
}

const PATHS: &[&str] = &[
    "/",
    "/api",
    "/api/",
    "/api/v1",
    "/api/v1/",
    "/apis",
    "/apis/apps",
    "/apis/apps/v1",
    "/apis/nobody.test/v1/things",
    "/api/v1/namespaces",
    "/api/v1/namespaces/default",
    "/api/v1/namespaces/default/status",
    "/api/v1/pods",
    "/api/v1/namespaces/default/pods/a/log",
    "/api/v1/namespaces/default/pods/a/exec",
    "/api/v1/namespaces/default/pods/none/portforward",
    "/api/v1/namespaces/default/pods/none/proxy/x/y",
    "/api/v1/namespaces/default/services/none:80/proxy/",
    "/api/v1/nodes/none/proxy/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/openapi/v3/apis/apps/v1",
    "/version",
    "/healthz",
    "/readyz/ping",
    "/livez",
    "/metrics",
    "/openid/v1/jwks",
    "/.well-known/openid-configuration",
    "/apis/example.com/v1/namespaces/default/widgets",
    "/apis/example.com/v1/widgets",
    "/api/v1/watch/pods",
    "/apis/autoscaling/v1/horizontalpodautoscalers",
];

/// Damage that still is a URL.
fn damaged(dice: &mut Dice, text: String) -> String {
    let mut bytes = text.into_bytes();
    for _ in 0..1 + dice.below(3) {
        if dice.one_in(2) {
            mutate::bytes(dice, &mut bytes);
        } else {
            let at = dice.below(bytes.len());
            let bit = dice.pick(&[
                "/", "//", "..", "%2e", "%2f", "%25", "%00", "%ff", "%", "?", "&&", "=", ";", ":", "~", "+",
            ]);
            bytes.splice(at..at, bit.bytes());
        }
    }
    let keep = |byte: &u8| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'<' | b'>' | b'#' | b'`' | b'\\' | b'^' | b'{' | b'|' | b'}')
    };
    let kept: String = bytes.into_iter().filter(keep).map(char::from).collect();
    kept
}

async fn option(api: &Harness, dice: &mut Dice, collection: &str) -> (String, String) {
    let name = dice.pick(&[
        "labelSelector",
        "labelSelector",
        "fieldSelector",
        "fieldSelector",
        "continue",
        "continue",
        "limit",
        "resourceVersion",
        "resourceVersionMatch",
        "watch",
        "timeoutSeconds",
        "allowWatchBookmarks",
        "sendInitialEvents",
        "includeObject",
        "pretty",
        "dryRun",
        "fieldManager",
        "fieldValidation",
        "force",
        "gracePeriodSeconds",
        "propagationPolicy",
        "orphanDependents",
        "x",
    ]);
    let value = match name {
        "labelSelector" => selector(dice, LABEL_BITS),
        "fieldSelector" => selector(dice, FIELD_BITS),
        "continue" => token(api, dice, collection).await,
        // One in the future is waited for.
        "resourceVersion" if dice.one_in(300) => "9223372036854775807".into(),
        "resourceVersion" => {
            dice.pick(&["", "0", "1", "2", "40", "-1", "01", "1.0", "x", "18446744073709551616", " 1"]).into()
        }
        "resourceVersionMatch" => dice.pick(&["", "Exact", "NotOlderThan", "exact"]).into(),
        "limit" | "timeoutSeconds" | "gracePeriodSeconds" if dice.one_in(2) => dice.number().to_string(),
        "limit" => dice.pick(&["0", "1", "2", "3"]).into(),
        "watch" | "allowWatchBookmarks" | "sendInitialEvents" => {
            dice.pick(&["1", "true", "0", "", "x"]).into()
        }
        "dryRun" => dice.pick(&["All", "", "Some"]).into(),
        _ => dice.word(),
    };
    (name.to_owned(), value)
}

const LABEL_BITS: &[&str] = &[
    "a", "app", "web", "=", "==", "!=", "!", " in ", " notin ", "(", ")", ",", "b", "1", "a.b/c", "x/", "/x",
    ">", "<", " ", "=~", "-", "'", "exists", "in", "notin",
];
const FIELD_BITS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "status.phase",
    "type",
    "involvedObject.name",
    "=",
    "==",
    "!=",
    ",",
    "a",
    "web",
    "\\",
    "\\=",
    "\\,",
    "\\\\",
    "",
    " ",
    "x.y",
    "metadata.labels",
    "spec.unschedulable",
];

/// Tokens of the grammar in any order: now and then they make a selector.
fn selector(dice: &mut Dice, bits: &[&str]) -> String {
    match dice.below(8) {
        0 => dice.word(),
        1 => dice
            .pick(&[
                "app=web",
                "app in (web,x),!z",
                "metadata.name=a",
                "metadata.name!=a,metadata.namespace=default",
            ])
            .into(),
        2 => bits[dice.below(bits.len())].repeat(1 + dice.below(2_000)),
        _ => (0..1 + dice.below(9)).map(|_| dice.pick(bits)).collect(),
    }
}

/// A token that the server gave, or one that it would never give.
async fn token(api: &Harness, dice: &mut Dice, collection: &str) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let page = api.get(&format!("{collection}?limit=1")).await;
    let given =
        if page.code == 200 { page.json()["metadata"]["continue"].as_str().map(String::from) } else { None };
    let mut json = given.and_then(|given| URL_SAFE_NO_PAD.decode(given).ok()).unwrap_or_else(|| {
        json!({"v": "meta.k8s.io/v1", "rv": 2, "start": "default/a"}).to_string().into_bytes()
    });
    match dice.below(5) {
        0 => return dice.word(),
        1 => {
            json = json!({"v": "meta.k8s.io/v1", "rv": dice.below(60), "start": dice.word()})
                .to_string()
                .into_bytes()
        }
        2 => mutate::bytes(dice, &mut json),
        _ => {}
    }
    let mut token = URL_SAFE_NO_PAD.encode(json).into_bytes();
    if dice.one_in(4) {
        mutate::bytes(dice, &mut token);
    }
    String::from_utf8_lossy(&token).into_owned()
}

pub fn accept(dice: &mut Dice) -> String {
    let known = dice.pick(&[
        "",
        "",
        "",
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/vnd.kubernetes.protobuf;type=watch",
        "*/*",
        "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
        "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
        "application/json;as=Nothing;v=v9;g=x",
        "application/cbor, */*;q=0.1",
        "text/html;q=x, application/json;q=-1",
    ]);
    if !dice.one_in(20) {
        return known.to_owned();
    }
    damaged(dice, known.to_owned())
}
