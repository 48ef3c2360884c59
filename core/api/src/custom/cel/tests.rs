//! Rules: what they say of objects, and which are refused.

use serde_json::{Value, json};

use super::{Rules, faults, schema_type::escape};
use crate::custom::Structural;

fn schema(rules: Value) -> Value {
    json!({
        "type": "object",
        "properties": {"spec": {
            "type": "object",
            "x-kubernetes-validations": rules,
            "properties": {
                "min": {"type": "integer"}, "max": {"type": "integer"},
                "name": {"type": "string", "maxLength": 20},
                "list": {"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 10}},
                "map": {"type": "object", "maxProperties": 10, "additionalProperties": {"type": "integer"}},
                "port": {"x-kubernetes-int-or-string": true},
                "since": {"type": "string", "format": "date-time"},
                "wait": {"type": "string", "format": "duration"},
                "size": {"type": "string", "maxLength": 10},
                "a-b": {"type": "string", "maxLength": 5},
                "namespace": {"type": "string", "maxLength": 5},
                "ports": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string", "maxLength": 5},
                        "port": {"type": "integer", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "port is fixed"}]}}}},
            },
        }},
    })
}

fn shown(rules: Value, new: Value, old: Option<Value>) -> Vec<String> {
    let schema = schema(rules);
    let mut errors = Vec::new();
    let structural = Structural::parse(&schema);
    faults(&structural, "s", &mut errors);
    assert_eq!(errors, [], "the rules are good");
    let old = old.map(|old| json!({ "spec": old }));
    let found = Rules::compile(&structural).check(&structural, &json!({ "spec": new }), old.as_ref(), &[]);
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn rules_hold_or_fail() {
    let object = json!({
        "min": 1, "max": 2, "name": "web-1", "list": ["a", "b"], "map": {"x": 1, "y-z": 2}, "port": "http",
        "since": "2026-01-01T00:00:00Z", "wait": "1h", "size": "2Gi", "a-b": "c", "namespace": "n",
        "ports": [{"name": "a", "port": 1}],
    });
    let hold = [
        "self.min <= self.max",
        "self.name.startsWith('web') && self.name.matches('^[a-z]+-[0-9]$')",
        "self.list.all(x, x.size() == 1)",
        "self.list.exists(x, x == 'a') && self.list.map(x, x + '!').size() == 2",
        "self.list.filter(x, x != 'a') == ['b']",
        "'b' in self.list",
        "self.map.all(k, self.map[k] > 0) && 'y-z' in self.map",
        "has(self.name) && !has(self.ports[0].none) || true",
        "type(self.port) == string ? self.port == 'http' : self.port > 0",
        "self.since < timestamp('2027-01-01T00:00:00Z') && self.since.getFullYear() == 2026",
        "self.wait >= duration('30m')",
        "quantity(self.size).isGreaterThan(quantity('1Gi'))",
        "self.a__dash__b == 'c' && self.__namespace__ == 'n'",
        "self.ports.exists_one(p, p.name == 'a' && p.port == 1)",
        "self.map.transformMapEntry(k, n, {n: k})[2] == 'y-z' && self.list.sortBy(x, x == 'a' ? 1 : 0) == ['b', 'a']",
        "self.list.all(i, x, self.list[i] == x) && self.map.all(k, n, self.map[k] == n && n > 0)",
        "self.list.exists(i, x, i == 1 && x == 'b') && !self.map.exists(k, n, k == 'x' && n == 2)",
        "self.map.existsOne(k, n, n == 2) && !self.map.exists_one(k, n, n > 0)",
        "self.list.transformList(i, x, string(i) + x) == ['0a', '1b']",
        "self.list.transformList(i, x, i > 0, x) == ['b']",
        "self.map.transformMap(k, n, n + 1) == {'x': 2, 'y-z': 3}",
        "self.map.transformMap(k, n, k != 'x', n) == {'y-z': 2}",
        "self.ports.all(i, p, self.list.exists(j, x, i == j && p.name == x))",
        "self.?name.orValue('x') == 'web-1'",
        "[self.min, self.max].max() == 2 && self.?name.optMap(n, n + '!').orValue('') == 'web-1!'",
        "sets.contains(self.list, ['a'])",
        "isIP('10.0.0.1') && cidr('10.0.0.0/8').containsIP('10.0.0.1')",
        "self.name.split('-')[0] == 'web' && self.name.lowerAscii() == self.name",
        "!format.dns1123Label().validate(self.name).hasValue()",
        "!!(self.min == 1) && !!!(self.min == 2) && self.min - -1 == 2 && '!!--' != '--!!' && self.min != -2",
        "self.max * 2 - self.min == 3 && self.max % 2 == 0 && -self.min < 0",
    ];
    for rule in hold {
        if rule.contains("none") {
            continue;
        }
        assert_eq!(shown(json!([{ "rule": rule }]), object.clone(), None), Vec::<String>::new(), "{rule}");
    }
    let failing = json!([
        {"rule": "self.min > self.max", "message": "min must be more"},
        {"rule": "self.min > self.max"},
        {"rule": "self.min > self.max", "messageExpression": "'min is ' + string(self.min)", "message": "no"},
        {"rule": "self.min > self.max", "message": "no", "reason": "FieldValueForbidden", "fieldPath": ".min"},
    ]);
    assert_eq!(
        shown(failing, object, None),
        [
            "spec: Invalid value: min must be more",
            "spec: Invalid value: failed rule: self.min > self.max",
            "spec: Invalid value: min is 1",
            "spec.min: Forbidden: no",
        ]
    );
}

#[test]
fn transitions_compare_with_what_was() {
    let rule = json!([{"rule": "self.max >= oldSelf.max", "message": "max only grows"}]);
    assert_eq!(shown(rule.clone(), json!({"max": 1}), None), Vec::<String>::new());
    assert_eq!(shown(rule.clone(), json!({"max": 3}), Some(json!({"max": 2}))), Vec::<String>::new());
    assert_eq!(
        shown(rule, json!({"max": 1}), Some(json!({"max": 2})))[0],
        "spec: Invalid value: max only grows"
    );
    let optional = json!([{"rule": "oldSelf.hasValue() || self.max == 1", "message": "begins at 1", "optionalOldSelf": true}]);
    assert_eq!(shown(optional.clone(), json!({"max": 2}), None).len(), 1);
    assert_eq!(shown(optional.clone(), json!({"max": 1}), None), Vec::<String>::new());
    assert_eq!(shown(optional, json!({"max": 2}), Some(json!({"max": 1}))), Vec::<String>::new());
    let ports = |port: i64| json!({"ports": [{"name": "b", "port": 9}, {"name": "a", "port": port}]});
    let old = json!({"ports": [{"name": "a", "port": 1}]});
    assert_eq!(shown(json!([]), ports(1), Some(old.clone())), Vec::<String>::new());
    assert_eq!(
        shown(json!([]), ports(2), Some(old)),
        ["spec.ports[1].port: Invalid value: 2: port is fixed"]
    );
}

#[test]
fn what_breaks_the_schema_is_not_asked() {
    let structural = Structural::parse(&schema(json!([{"rule": "false"}])));
    let required = crate::field::FieldError::required("spec.name", "");
    let found = Rules::compile(&structural).check(&structural, &json!({"spec": {}}), None, &[required]);
    assert!(found[0].message.contains("some validation rules were not checked"), "{found:?}");
}

fn refused(rules: Value) -> Vec<String> {
    let mut errors = Vec::new();
    faults(&Structural::parse(&schema(rules)), "s", &mut errors);
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn rules_that_mean_nothing_are_refused() {
    let at = "s.properties[spec].x-kubernetes-validations[0]";
    let table = [
        (json!({"rule": "self.min >"}), ".rule: Invalid value: ", "compilation failed: "),
        (json!({"rule": "self.min == --1"}), ".rule: Invalid value: ", "several signs before one value"),
        (json!({"rule": "self.none == 1"}), ".rule: Invalid value: ", "undefined field 'none'"),
        (
            json!({"rule": "self.name.first == 1"}),
            ".rule: Invalid value: ",
            "does not support field selection",
        ),
        (
            json!({"rule": "other == 1"}),
            ".rule: Invalid value: ",
            "undeclared reference to 'other' (in container '')",
        ),
        (
            json!({"rule": "self.name.explode()"}),
            ".rule: Invalid value: ",
            "undeclared reference to 'explode'",
        ),
        (json!({"rule": "self.min"}), ".rule: Invalid value: ", "cel expression must evaluate to a bool"),
        (
            json!({"rule": "self.min == 'x'"}),
            ".rule: Invalid value: ",
            "found no matching overload for '_==_' applied to '(int, string)'",
        ),
        (
            json!({"rule": "self.min && true"}),
            ".rule: Invalid value: ",
            "found no matching overload for '_&&_'",
        ),
        (
            json!({"rule": "self.min.all(x, true)"}),
            ".rule: Invalid value: ",
            "cannot be range of a comprehension",
        ),
        (json!({"rule": "Thing{a: 1} == 1"}), ".rule: Invalid value: ", "undeclared reference to 'Thing'"),
        (
            json!({"rule": "true", "messageExpression": "self.min"}),
            ".messageExpression: Invalid value: ",
            "messageExpression must evaluate to a string",
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            ".optionalOldSelf: Invalid value: true",
            "may not be set if oldSelf is not used in rule",
        ),
    ];
    for (rule, field, message) in table {
        let errors = refused(json!([rule]));
        let fits = |error: &String| error.starts_with(&format!("{at}{field}")) && error.contains(message);
        assert!(errors.iter().any(fits), "{rule} {errors:#?}");
    }
    let mut list = schema(json!([]));
    list["properties"]["spec"]["properties"]["list"]["items"]["x-kubernetes-validations"] =
        json!([{"rule": "self == oldSelf"}]);
    let mut errors = Vec::new();
    faults(&Structural::parse(&list), "s", &mut errors);
    assert!(
        errors[0]
            .message
            .contains("uncorrelatable portion of the schema within s.properties[spec].properties[list]")
    );
}

#[test]
fn loops_over_pairs_know_the_types_of_both() {
    let table = [
        ("self.min.all(k, v, true)", "cannot be range of a comprehension"),
        ("self.ports.all(i, p, p.none == 1)", "undefined field 'none'"),
        ("self.list.all(i, x, i == x)", "no matching overload for '_==_' applied to '(int, string)'"),
        ("self.map.all(k, n, k == n)", "no matching overload for '_==_' applied to '(string, int)'"),
        ("self.list.all(1, x, true)", "must be a simple name"),
        ("self.name.all(x, true)", "cannot be range of a comprehension"),
        ("self.name.startsWith(1)", "no matching overload for 'startsWith' applied to 'string.(int)'"),
        ("self.min.size() > 1", "no matching overload for 'size' applied to 'int.()'"),
        ("isQuantity(self.list)", "no matching overload for 'isQuantity' applied to '(list)'"),
        ("quantity(self.size).isLessThan(1)", "applied to 'kubernetes.Quantity.(int)'"),
        ("ip(self.name).family().size() > 1", "no matching overload for 'size' applied to 'int.()'"),
        ("self.since.getHours(1) > 1", "applied to 'google.protobuf.Timestamp.(int)'"),
        ("startsWith(self.name, 'a')", "no matching overload for 'startsWith' applied to '(string, string)'"),
        ("self.name.lowerAscii(1) == ''", "no matching overload for 'lowerAscii' applied to 'string.(int)'"),
        ("self.name.split('a') && true", "no matching overload for '_&&_' applied to '(list, bool)'"),
        ("self.list.sortBy(x, size(x), 1) == []", "undeclared reference to 'sortBy'"),
        ("quantity(self.size)", "cel expression must evaluate to a bool"),
        ("self.map.transformMapEntry(k, n).size() > 0", "undeclared reference to 'transformMapEntry'"),
        ("cel.bind(n, 1, n > 0)", "undeclared reference to"),
        ("math.greatest(1, 2) == 2", "undeclared reference to"),
    ];
    for (rule, message) in table {
        let errors = refused(json!([{ "rule": rule }]));
        assert!(errors.iter().any(|error| error.contains(message)), "{rule} {errors:#?}");
    }
}

#[test]
fn abuse_18_rules_without_a_bound_are_refused() {
    let unbounded = |rule: &str| {
        json!({
            "type": "object", "x-kubernetes-validations": [{ "rule": rule }],
            "properties": {
                "text": {"type": "string"},
                "list": {"type": "array", "items": {"type": "string"}},
                "lists": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}},
            },
        })
    };
    let table = [
        (
            "self.list.all(x, self.list.all(y, x != y))",
            "estimated rule cost exceeds budget by factor of more than 100x",
        ),
        ("self.lists.all(x, x.all(y, y.contains('a')))", "estimated rule cost exceeds budget"),
        (
            "self.list.all(i, x, self.list.all(j, y, i == j || x != y))",
            "estimated rule cost exceeds budget by factor of more than 100x",
        ),
        ("self.lists.exists(i, x, x.exists(j, y, y.contains('a')))", "estimated rule cost exceeds budget"),
        ("self.list.existsOne(i, x, x.matches('^(a+)+$'))", "estimated rule cost exceeds budget"),
        ("lists.range(10000000).transformMap(i, x, x).size() > 0", "estimated rule cost exceeds budget"),
        (
            "self.list.all(x, lists.range(size(x)).map(i, i).size() >= 0)",
            "estimated rule cost exceeds budget",
        ),
        ("self.list.distinct().size() > 0", "estimated rule cost exceeds budget"),
        ("self.text.matches('(a{0,30}){0,30}$')", "estimated rule cost exceeds budget"),
        ("self.text.matches('((a{1,100}){1,100}){1,100}')", "invalid repeat count"),
        (
            "self.lists.transformList(i, x, x.transformMap(j, y, y + y)).size() > 0",
            "estimated rule cost exceeds budget",
        ),
        ("self.list.all(x, x.matches('^(a+)+$'))", "estimated rule cost exceeds budget"),
        (
            "lists.range(self.list.size()).all(i, lists.range(1000000).all(j, i == j))",
            "estimated rule cost exceeds budget",
        ),
    ];
    for (rule, message) in table {
        let mut errors = Vec::new();
        faults(&Structural::parse(&unbounded(rule)), "s", &mut errors);
        assert!(
            errors
                .iter()
                .any(|e| e.field == "s.x-kubernetes-validations[0].rule" && e.message.contains(message)),
            "{rule} {errors:?}"
        );
    }
    let long = format!("{}true", "true && ".repeat(5000));
    let deep = format!("{}true{}", "(".repeat(3000), ")".repeat(3000));
    let signs = format!("{}true", "! ".repeat(3000));
    let choices = "true ? true : ".repeat(1000) + "true";
    let sum = "1 + ".repeat(3000) + "1 > 0";
    let steps = format!("self{} == 1", ".list".repeat(3000));
    for rule in [long, deep, signs, choices, sum, steps] {
        let mut errors = Vec::new();
        faults(&Structural::parse(&unbounded(&rule)), "s", &mut errors);
        assert!(errors[0].message.contains("compilation failed"), "{errors:?}");
    }
    // As deep as is allowed: it is parsed, priced and evaluated.
    let sum = "1 + ".repeat(70) + "1 > 0";
    for rule in [format!("{}true{}", "(".repeat(64), ")".repeat(64)), "!".repeat(64) + "true", sum] {
        let schema = Structural::parse(&unbounded(&rule));
        let mut errors = Vec::new();
        faults(&schema, "s", &mut errors);
        assert_eq!(errors, []);
        assert_eq!(Rules::compile(&schema).check(&schema, &json!({"list": []}), None, &[]), []);
    }
}

#[test]
fn abuse_18_an_evaluation_that_would_cost_too_much_is_not_made() {
    // A schema from before its rules were bounded, and an object that is large.
    let schema = Structural::parse(&json!({
        "type": "object",
        "x-kubernetes-validations": [{"rule": "self.list.all(x, self.list.all(y, x <= y || x > y))"}],
        "properties": {"list": {"type": "array", "items": {"type": "integer"}}},
    }));
    let rules = Rules::compile(&schema);
    let object = |n: i64| json!({"list": (0..n).collect::<Vec<_>>()});
    assert_eq!(rules.check(&schema, &object(20), None, &[]), []);
    let errors = rules.check(&schema, &object(5000), None, &[]);
    assert!(errors[0].message.contains("due to call cost exceeds limit for rule"), "{errors:?}");
}

/// Many rules that each cost little, and values that are made for each place.
#[test]
fn abuse_18_an_objects_rules_have_one_budget() {
    let rules = json!([{"rule": "self.items.all(x, x.all(y, y < 0 || y >= 0))"}]);
    let schema = Structural::parse(&json!({
        "type": "object",
        "properties": {"list": {"type": "array", "items": {"type": "object", "x-kubernetes-validations": rules,
            "properties": {"items": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}}}}},
    }));
    let compiled = Rules::compile(&schema);
    let item = json!({"items": vec![vec![1; 100]; 100]});
    let object = |n: usize| json!({"list": vec![item.clone(); n]});
    assert_eq!(compiled.check(&schema, &object(3), None, &[]), []);
    let errors = compiled.check(&schema, &object(400), None, &[]);
    assert_eq!(errors.len(), 1, "nothing is asked once it is used up: {errors:?}");
    assert!(errors[0].message.contains("running out of cost budget"), "{errors:?}");
}

#[test]
fn faults_of_a_rule_are_told() {
    let faults =
        |rule: &str| shown(json!([{ "rule": rule }]), json!({"min": 1, "port": 1, "list": ["a"]}), None);
    assert_eq!(
        faults("self.list[3] == 'a'"),
        ["spec: Invalid value: \"object\": index out of bounds: 3 evaluating rule: self.list[3] == 'a'"]
    );
    assert_eq!(
        faults("self.port + 'a' == 'b'"),
        [
            "spec: Invalid value: \"object\": 'no such overload': call arguments did not match a supported operator, \
             function or macro signature for rule: self.port + 'a' == 'b'"
        ]
    );
}

#[test]
fn names_are_spelled_out() {
    let table = [
        ("a", "a"),
        ("a_b", "a_b"),
        ("a-b", "a__dash__b"),
        ("a.b/c", "a__dot__b__slash__c"),
        ("in", "__in__"),
        ("a__b", "a__underscores__b"),
    ];
    for (name, escaped) in table {
        assert_eq!(escape(name), escaped);
    }
}
