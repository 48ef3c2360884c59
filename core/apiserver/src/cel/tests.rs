//! Expressions as tables.

use std::sync::Arc;

use kube_cel::cel;
use serde_json::{Value, json};
use tiphys_api::auth::{Attributes, Authorizer, UserInfo};

use super::*;

const KNOWN: &[&str] = &["object", "request", "authorizer"];

struct Readers;

impl Authorizer for Readers {
    fn authorize(&self, user: &UserInfo, attributes: &Attributes) -> Result<(), String> {
        match attributes {
            Attributes::Resource { verb, .. } if verb == "get" && user.name == "jane" => Ok(()),
            Attributes::NonResource { path, .. } if path == "/healthz" => Ok(()),
            _ => Err("not a reader".into()),
        }
    }
}

fn object() -> Value {
    json!({
        "metadata": { "name": "web", "labels": { "a/b": "c" }, "annotations": null },
        "spec": { "replicas": 3, "containers": [{ "name": "a", "image": "x:1" }, { "name": "b", "image": "y" }] },
    })
}

fn evaluate(source: &str, variables: &[(&str, &str)]) -> Result<Value, String> {
    let mut names = Vec::new();
    let mut compiled = Vec::new();
    for (name, source) in variables {
        compiled.push((
            (*name).to_owned(),
            Expression::compile(source, KNOWN, &names).map_err(|error| error.to_string())?,
        ));
        names.push((*name).to_owned());
    }
    let expression = Expression::compile(source, KNOWN, &names).map_err(|error| error.to_string())?;
    let asker = Asker { authorizer: Arc::new(Readers), user: UserInfo::named("jane", &[]) };
    let values = vec![
        ("object", from_json(&object())),
        ("request", from_json(&json!({ "operation": "CREATE" }))),
        ("authorizer", asker.value()),
    ];
    let scope = Scope::new(values, &compiled);
    let value = expression.evaluate(&scope).map_err(|error| error.to_string())?;
    to_json(&value).ok_or_else(|| "no JSON".to_owned())
}

#[track_caller]
fn gives(source: &str, expected: Value) {
    assert_eq!(evaluate(source, &[]), Ok(expected), "{source}");
}

#[test]
fn objects_are_read() {
    gives("object.spec.replicas > 2 && request.operation == 'CREATE'", json!(true));
    gives("object.metadata.labels['a/b']", json!("c"));
    gives("has(object.spec.replicas) && !has(object.spec.none)", json!(true));
    gives("object.spec.containers.all(c, c.image.contains(':'))", json!(false));
    gives("object.spec.containers.filter(c, c.image.contains(':')).map(c, c.name)", json!(["a"]));
    gives("'a/b' in object.metadata.labels", json!(true));
    gives("object.spec.containers.exists_one(c, c.name == 'b')", json!(true));
    gives("quantity('1Gi').isGreaterThan(quantity('1Mi'))", json!(true));
    gives("size(object.spec.containers) == 2 ? 'two' : 'other'", json!("two"));
    gives("[1, 2, 3].sum() == 6 && 'a,b'.split(',').size() == 2", json!(true));
}

#[test]
fn what_may_be_missing() {
    gives("object.?spec.?replicas.orValue(1)", json!(3));
    gives("object.?status.?replicas.orValue(1)", json!(1));
    gives("object.metadata.?labels[?'a/b'].orValue('')", json!("c"));
    // What is null has no fields, and none that may be missing.
    let null = "object.metadata.?annotations.?x.hasValue()";
    for bad in ["object.status.replicas", "object.metadata.annotations.x", "object.spec.none.deeper", null] {
        assert!(evaluate(bad, &[]).is_err(), "{bad}");
    }
    assert_eq!(evaluate("object.status.x == 1", &[]), Err("no such key: status".into()));
}

#[test]
fn macros_over_pairs_and_bindings() {
    gives("object.spec.?replicas.optMap(n, n * n).value()", json!(9));
    gives("object.spec.containers.sortBy(c, c.image).map(c, c.name)", json!(["a", "b"]));
    gives("{'a': 1}.transformMapEntry(k, v, {string(v): k})", json!({ "1": "a" }));
    gives("object.metadata.labels.all(k, v, k == 'a/b' && v == 'c')", json!(true));
    gives("[5, 6].exists(i, v, i == 1 && v == 6)", json!(true));
    gives("{'a': 1, 'b': 2}.transformMap(k, v, v * 2)", json!({ "a": 2, "b": 4 }));
    gives("['x', 'y'].transformList(i, v, i > 0, v)", json!(["y"]));
    gives("[1, 1].existsOne(i, v, v == 1)", json!(false));
}

#[test]
fn objects_are_written() {
    gives(
        "Object{spec: Object.spec{replicas: object.spec.replicas + 1, ?paused: optional.none()}}",
        json!({ "@type": "Object", "spec": { "@type": "Object.spec", "replicas": 4 } }),
    );
    gives(
        "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: 'x'}]",
        json!([{ "@type": "JSONPatch", "op": "add", "path": "/metadata/labels/a~1b", "value": "x" }]),
    );
    assert!(evaluate("Pod{a: 1}", &[]).unwrap_err().contains("undeclared reference to 'Pod'"));
}

#[test]
fn rights_are_asked_for() {
    gives(
        "authorizer.group('apps').resource('deployments').namespace('a').name('b').check('get').allowed()",
        json!(true),
    );
    gives(
        "authorizer.group('').resource('pods').subresource('log').check('list').reason()",
        json!("not a reader"),
    );
    gives("authorizer.path('/healthz').check('get').allowed()", json!(true));
    gives(
        "authorizer.serviceAccount('a', 'b').group('').resource('pods').check('get').allowed()",
        json!(false),
    );
    assert!(evaluate("authorizer.check('get')", &[]).is_err());
}

#[test]
fn variables_are_evaluated_when_they_are_needed() {
    let variables = [("n", "object.spec.replicas"), ("double", "variables.n * 2"), ("bad", "object.none.x")];
    assert_eq!(evaluate("variables.double", &variables), Ok(json!(6)));
    assert_eq!(evaluate("true || variables.bad == 1", &variables), Ok(json!(true)));
    assert_eq!(
        evaluate("variables.bad == 1", &variables),
        Err("composited variable \"bad\" fails to evaluate: no such key: none".into())
    );
    assert_eq!(
        evaluate("variables.later", &variables),
        Err("compilation failed: undefined field 'later'".into())
    );
}

#[test]
fn unknown_names_are_told_when_compiled() {
    let refused = |source: &str| evaluate(source, &[]).unwrap_err();
    assert!(refused("objct.spec").contains("undeclared reference to 'objct'"));
    assert!(refused("object.spec.frobnicate()").contains("undeclared reference to 'frobnicate'"));
    assert!(refused("frobnicate(object)").contains("undeclared reference to 'frobnicate'"));
    assert!(refused("object.spec.").starts_with("compilation failed"));
    assert!(refused("[1].all(x, y == x)").contains("undeclared reference to 'y'"));
    assert!(refused(&"(".repeat(5000)).starts_with("compilation failed"));
    for chain in [".a", "[0]", " + object", " && object", " in object", " ? object : object"] {
        let source = format!("object{}", chain.repeat(30_000 / chain.len()));
        let why = refused(&source);
        assert!(why.starts_with("compilation failed: the expression is "), "{why}");
    }
}

#[test]
fn abuse_18_an_endless_expression_is_ended() {
    let list = format!("[{}]", vec!["1"; 200].join(","));
    let source = format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, a + b + c + d > 0))))");
    assert_eq!(evaluate(&source, &[]), Err("operation cancelled: actual cost limit exceeded".into()));
    let expression = Expression::compile("1 + 1", &[], &[]).unwrap();
    assert_eq!(expression.evaluate(&Scope::new(Vec::new(), &[])), Ok(cel::Value::Int(2)));
}

#[test]
fn abuse_18_a_text_that_doubles_is_ended() {
    for double in ["s + s", "[s, s]", "'%s%s'.format([s, s])", "{'a': s, 'b': s}"] {
        let source = format!("object.metadata.?name{}", format!(".optMap(s, {double})").repeat(40));
        assert_eq!(
            evaluate(&source, &[]),
            Err("operation cancelled: actual cost limit exceeded".into()),
            "{double}"
        );
    }
}

#[test]
fn abuse_18_variables_are_paid_for() {
    let list = format!("[{}]", vec!["1"; 100].join(","));
    let dear = format!("{list}.all(a, {list}.all(b, {list}.all(c, a + b + c > 0)))");
    let variables: Vec<(&str, &str)> = vec![("dear", &dear)];
    assert_eq!(
        evaluate("variables.dear || true", &variables),
        Err("operation cancelled: actual cost limit exceeded".into())
    );
    // Two questions about rights are as many as one expression may ask.
    let ask = |n: usize| vec!["authorizer.path('/healthz').check('get').allowed()"; n].join(" && ");
    gives(&ask(2), json!(true));
    assert!(evaluate(&ask(3), &[]).is_err());
}

#[test]
fn abuse_18_all_expressions_share_a_budget() {
    let list = format!("[{}]", vec!["1"; 300].join(","));
    let source = format!("{list}.all(a, {list}.all(b, a + b > 0))");
    let expression = Expression::compile(&source, &[], &[]).unwrap();
    let scope = Scope::new(Vec::new(), &[]);
    let used = (0..100).take_while(|_| expression.evaluate(&scope) == Ok(cel::Value::Bool(true))).count();
    assert!((10..40).contains(&used), "{used}");
    let why = "validation failed due to running out of cost budget, no further validation rules will be run";
    assert_eq!(expression.evaluate(&scope), Err(CelError::Execution(why.into())));
}

#[test]
fn abuse_18_deep_expressions_have_room() {
    for (begin, chain) in
        [("size(object.metadata.name)", " + 1"), ("object", ".spec"), ("1", " in [1] ? 1 : 1")]
    {
        // Whatever comes out: the stack is enough.
        let _ = evaluate(&format!("{begin}{}", chain.repeat(900 / chain.len())), &[]);
    }
    let deep = (0..60).fold("1".to_owned(), |inner, n| format!("[{inner}].map(v{n}, v{n} + {n})[0]"));
    let _ = evaluate(&deep, &[]);
    let names: Vec<String> = (0..2_000).map(|n| format!("v{n}")).collect();
    let sources: Vec<String> =
        (0..2_000).map(|n| if n == 0 { "1".into() } else { format!("variables.v{}", n - 1) }).collect();
    let chain: Vec<(&str, &str)> =
        names.iter().zip(&sources).map(|(name, source)| (name.as_str(), source.as_str())).collect();
    assert_eq!(evaluate("variables.v1999", &chain), Ok(json!(1)));
}
