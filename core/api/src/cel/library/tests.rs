//! Every function and operator, as tables: what holds, and what has no value and why.
//!
//! The rows are facts of Kubernetes 1.37 and its version of CEL.

use kube_cel::cel::Value;

use crate::cel::{
    evaluate::{Outcome, World},
    meter::{Meter, PER_CALL},
    parse::Expression,
};

struct Nothing;

impl World for Nothing {
    fn value(&self, _: &str, _: &mut Meter) -> Option<Outcome> {
        None
    }
}

fn evaluate(text: &str) -> Result<Value, String> {
    let expression = Expression::parse(text)?;
    expression.evaluate(&Nothing, &mut Meter::new(PER_CALL)).map_err(|fault| fault.to_string())
}

#[track_caller]
fn hold(table: &str) {
    let failing: Vec<String> = table
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .filter_map(|line| match evaluate(line) {
            Ok(Value::Bool(true)) => None,
            other => Some(format!("{line}: {other:?}")),
        })
        .collect();
    assert!(failing.is_empty(), "{failing:#?}");
}

#[track_caller]
fn fail(table: &[(&str, &str)]) {
    for (text, why) in table {
        match evaluate(text) {
            Err(told) => assert!(told.contains(why), "{text}: {told}"),
            Ok(value) => panic!("{text} is {value:?}"),
        }
    }
}

#[test]
fn operators_hold() {
    hold(
        r#"
        1 + 2 * 3 - 4 / 2 == 5 && 7 % 3 == 1 && -7 % 3 == -1 && 7u / 2u == 3u && 1.5 + 1.5 == 3.0
        1 == 1.0 && 1u == 1 && 2.0 == 2u && 1 != 1.5 && !(1 == '1') && [1, 2.0] == [1.0, 2u]
        1 < 2u && 2.5 > 2 && 9223372036854775807 < 9223372036854775808.0 && -1 < 0u
        'a' < 'b' && b'a' < b'b' && false < true && 'a' + 'b' == 'ab' && b'a' + b'b' == b'ab' && [1] + [2] == [1, 2]
        {'a': 1}['a'] == 1 && {1: 'a'}[1u] == 'a' && {1: 'a'}[1.0] == 'a' && [1, 2][1] == 2 && {'a': {'b': 1}}.a.b == 1
        'a' in {'a': 1} && !('b' in {'a': 1}) && 2.0 in [1, 2] && !(3 in [1, 2]) && has({'a': 1}.a) && !has({'a': 1}.b)
        {'a': [1, {'b': 2}]} == {'a': [1.0, {'b': 2u}]} && {'a': 1} != {'a': 2} && {'a': 1} != {'b': 1} && null == null
        (true ? 1 : 2) == 1 && (false || true) && !(true && false)
        true || 1 / 0 == 1
        1 / 0 == 1 || true
        !(false && 1 / 0 == 1) && !(1 / 0 == 1 && false)
        !!true && !!!false && -(-1) == 1 && [1, 2,] == [1, 2]
        0.0 / 0.0 != 0.0 / 0.0 && !(0.0 / 0.0 < 1.0) && 1.0 / 0.0 > 1.0
        "#,
    );
    fail(&[
        ("1 / 0", "division by zero"),
        ("1 % 0", "modulus by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("-9223372036854775807 - 2", "integer overflow"),
        ("0u - 1u", "unsigned integer overflow"),
        ("1 + 1u", "no such overload"),
        ("1 + 1.0", "no such overload"),
        ("'a' < 1", "no such overload"),
        ("{'a': 1}.b", "no such key: b"),
        ("{'a': 1}['b']", "no such key: b"),
        ("[1][1]", "index out of bounds: 1"),
        ("[1][-1]", "index out of bounds: -1"),
        ("1 || false", "no such overload"),
        ("false || 1 / 0 == 1", "division by zero"),
        ("{'a': 1, 'a': 2}", "repeated key"),
        ("x == 1", "no such attribute(s): x"),
        ("null.a", "no such overload"),
    ]);
}

#[test]
fn loops_hold() {
    hold(
        r#"
        [1, 2].all(x, x > 0) && [1, 2].exists(x, x > 1) && [1, 2].exists_one(x, x > 1) && [1, 2].existsOne(x, x > 1)
        [1, 2].map(x, x * 2) == [2, 4] && [1, 2].map(x, x > 1, x * 2) == [4] && [1, 2].filter(x, x > 1) == [2]
        {'a': 1, 'b': 2}.all(k, k in ['a', 'b']) && {'a': 1}.map(k, k) == ['a'] && [[1], [2]].map(x, x.map(y, y + 1)) == [[2], [3]]
        [0, 1].exists(x, 1 / x == 1) && ![0, 1].all(x, 1 / x == 2)
        [1, 2, 3, 4].all(i, v, i < 5 && v > 0) && {1: 1, 2: 2, 3: 3}.all(i, v, i < 5 && v > 0) && !{0: 0}.all(i, v, i < 5 && v > 0)
        {'a': 'b'}.exists(k, v, k == 'a' && v == 'b') && ['a'].existsOne(i, v, i == 0) && [1, 1].exists_one(i, v, v == 1) == false
        [].transformList(i, v, v) == [] && [1].transformList(i, v, i) == [0] && [3, 2, 1].transformList(i, v, v > i, v) == [3, 2]
        [].transformMap(k, v, v + 1) == {} && {1: 2}.transformMap(k, v, v + 1) == {1: 3} && ['a'].transformMap(i, v, v) == {0: 'a'}
        {1: 2, 3: 4, 5: 6}.transformMap(k, v, k % 3 == 0, v + 1) == {3: 5}
        {1: 2}.transformMapEntry(k, v, {v: k}) == {2: 1} && ['a', 'b'].transformMapEntry(i, v, i > 0, {v: i}) == {'b': 1}
        {'a': 'x', 'b': 'y'}.transformMapEntry(k, v, {v: k, k: v}) == {'x': 'a', 'a': 'x', 'y': 'b', 'b': 'y'}
        [].sortBy(e, e) == [] && [-3, 1, -5, -2, 4].sortBy(e, -(e * e)) == [-5, 4, -3, -2, 1] && lists.range(3).sortBy(e, -e) == [2, 1, 0]
        ['a', 'c', 'b', 'first'].sortBy(e, e == 'first' ? '' : e) == ['first', 'a', 'b', 'c']
        [{'x': 4}, {'x': 3}].sortBy(m, m['x']) == [{'x': 3}, {'x': 4}] && [[2, 1], [0]].map(l, l.sortBy(e, e)) == [[1, 2], [0]]
        [3.0, 0.0 / 0.0, 1.0].sortBy(e, e)[0] == 1.0
        "#,
    );
    fail(&[
        ("[0, 1].all(x, 1 / x == 1)", "division by zero"),
        ("[0].map(x, 1 / x)", "division by zero"),
        ("1.all(x, true)", "no such overload"),
        ("{'a': 1, 'b': 1}.transformMapEntry(k, v, {v: k})", "insert failed: key 1 already exists"),
        ("[0, 0u].transformMapEntry(i, v, {v: i})", "insert failed: key 0 already exists"),
        ("{'a': 1}.transformMapEntry(k, v, [])", "no such overload"),
        ("[1].all(i, i, true)", "duplicate variable name: i"),
        ("[1].transformMap(1, v, v)", "argument must be a simple name"),
        ("[1].sortBy(1, 1)", "argument must be a simple name"),
        ("['a', 1].sortBy(e, e)", "list elements must have the same type"),
        ("[1].all(x, x > 0) && x == 1", "no such attribute(s): x"),
    ]);
}

#[test]
fn texts_hold() {
    hold(
        r#"
        size('taco') == 4 && 'ÿ'.size() == 1 && size(b'ÿ') == 2 && size([1]) == 1 && size({}) == 0
        'abc'.contains('b') && 'abc'.startsWith('ab') && 'abc'.endsWith('bc') && !'abc'.contains('d')
        'tacocat'.charAt(3) == 'o' && 'tacocat'.charAt(7) == '' && '©αT'.charAt(1) == 'α'
        'tacocat'.indexOf('') == 0 && 'tacocat'.indexOf('none') == -1 && 'tacocat'.indexOf('', 3) == 3 && 'tacocat'.indexOf('a', 3) == 5
        'ta©o©αT'.indexOf('©', 3) == 4 && 'ta©o©αT'.indexOf('©α', 5) == -1 && 'tacocat'.indexOf('a', 30) == -1 && 'tacocat'.indexOf('', 30) == 7
        ''.lastIndexOf('@@') == -1 && 'tacocat'.lastIndexOf('') == 7 && 'tacocat'.lastIndexOf('a', 3) == 1 && 'ta©o©αT'.lastIndexOf('©α', 4) == 4
        'hello wello'.lastIndexOf('ello', 6) == 1 && 'bananananana'.lastIndexOf('nana', 7) == 6 && 'tacocat'.lastIndexOf('', 30) == 7
        'TacoCÆt Xii'.lowerAscii() == 'tacocÆt xii' && 'tacoCαt'.upperAscii() == 'TACOCαT'
        '{0} days {0} hours'.replace('{0}', '2', 1).replace('{0}', '23') == '2 days 23 hours' && '1 ©αT taco'.replace('αT', 'o©α') == '1 ©o©α taco'
        'hello hello'.replace('', '_') == '_h_e_l_l_o_ _h_e_l_l_o_' && 'aa'.replace('a', 'b', 0) == 'aa' && 'aa'.replace('a', 'b', -1) == 'bb'
        'hello world'.split(' ') == ['hello', 'world'] && 'a b c'.split(' ', 0) == [] && 'a b c'.split(' ', 1) == ['a b c'] && 'a b c'.split(' ', 2) == ['a', 'b c']
        'o©o©o'.split('©', -1) == ['o', 'o', 'o'] && 'a©'.split('') == ['a', '©'] && 'abc'.split('', 2) == ['a', 'bc'] && ''.split(',') == ['']
        'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(7) == '' && 'ta©o©αT'.substring(2, 6) == '©o©α' && 'ta©o©αT'.substring(7, 7) == ''
        ' \f\n\r\t\vtext  '.trim() == 'text' && '\u0085\u00a0\u1680text'.trim() == 'text' && '\u200atext\u2028\u2029\u202F\u205F\u3000'.trim() == 'text'
        ['x', 'y'].join() == 'xy' && ['x', 'y'].join('-') == 'x-y' && [].join('-') == ''
        strings.quote('first\nsecond "x" \\') == '"first\\nsecond \\"x\\" \\\\"' && strings.quote('ÿ\a\b\f\r\t\v') == '"ÿ\\a\\b\\f\\r\\t\\v"'
        jsonpatch.escapeKey('k8s.io/my~label') == 'k8s.io~1my~0label'
        'abc 123'.matches('[0-9]+$') && matches('abc', '^a') && !'abc'.matches('^b') && 'a'.matches('^\\w$') && !'ä'.matches('\\w') && 'x[&y'.matches('[[&]+')
        'abc 123'.find('[0-9]+') == '123' && 'abc'.find('[0-9]+') == '' && '1 2 3'.findAll('[0-9]') == ['1', '2', '3']
        '1 2 3'.findAll('[0-9]', 1) == ['1'] && '1 2'.findAll('[0-9]', 0) == [] && '1 2'.findAll('[0-9]', -1) == ['1', '2'] && 'a'.findAll('b') == []
        "#,
    );
    fail(&[
        ("'tacocat'.charAt(30)", "index out of range: 30"),
        ("'tacocat'.indexOf('a', -1)", "index out of range: -1"),
        ("'tacocat'.lastIndexOf('', -1)", "index out of range: -1"),
        ("'tacocat'.substring(40)", "index out of range: 40"),
        ("'tacocat'.substring(1, 50)", "index out of range: 50"),
        ("'tacocat'.substring(4, 3)", "invalid substring range. start: 4, end: 3"),
        ("42.charAt(2)", "no such overload"),
        ("'42'.replace('2', '1', 1, false)", "no such overload"),
        ("[1, 2].join()", "no such overload"),
        ("'a'.matches('(')", "error parsing regexp"),
        ("'a'.matches('a{1001}')", "invalid repeat count"),
        ("'a'.matches('((a{100}){100}){100}')", "invalid repeat count"),
        ("'gums'.reverse()", "no such overload"),
    ]);
}

#[test]
fn texts_are_formatted() {
    hold(
        r#"
        'no substitution'.format([]) == 'no substitution' && '%%%s%%'.format(['text']) == '%text%'
        '%d %d, %s %s'.format([1, 2u, 'A', true]) == '1 2, A true' && '%s'.format([null]) == 'null' && '%s'.format([string]) == 'string'
        '%.3f'.format([1.2345]) == '1.234' && '%f'.format([2.71828]) == '2.718280' && '%f'.format(['NaN']) == 'NaN' && '%f'.format(['Infinity']) == '∞'
        '%b'.format([5]) == '101' && '%b'.format([-5]) == '-101' && '%b'.format([true]) == '1' && '%o'.format([-11]) == '-13'
        '%x'.format([30]) == '1e' && '%X'.format([-30]) == '-1E' && '%x'.format(['Hello']) == '48656c6c6f' && '%X'.format([b'\x00z']) == '007A'
        '%.6e'.format([1052.032911275]) == '1.052033\u202f\u00d7\u202f10\u2070\u00b3' && '%e'.format([2.71828]) == '2.718280\u202f×\u202f10⁰⁰'
        '%s'.format([2.71]) == '2.71' && '%s'.format([[2.71]]) == '[2.710000]' && '%s'.format([0.000000002]) == '2e-09'
        '%s'.format([[1, 2, 3, {'a': 'x', 'b': 'y'}]]) == '[1, 2, 3, {"a":"x", "b":"y"}]' && '%s'.format([{1: true}]) == '{1:true}'
        '%s'.format([duration('1h45m47s')]) == '6347s' && '%s'.format([timestamp('2023-02-03T23:31:20+00:00')]) == '2023-02-03T23:31:20Z'
        '%s'.format([[duration('1m')]]) == '[duration("60s")]' && '%s'.format([[b'a', 'b']]) == '[b"a", "b"]'
        "#,
    );
    fail(&[
        ("'%d'.format([1.5])", "decimal clause can only be used on integers, was given double"),
        ("'%f'.format(['x'])", "fixed-point clause can only be used on doubles, was given string"),
        ("'%s %s'.format(['x'])", "index 1 out of range"),
        ("'%z'.format([1])", "could not parse formatting clause: unrecognized formatting clause \"z\""),
        ("'%'.format([1])", "could not parse formatting clause: unexpected end of string"),
        ("'%.999999999f'.format([1.0])", "precision"),
    ]);
}

#[test]
fn lists_and_sets_hold() {
    hold(
        r#"
        [1, 2, 3].isSorted() && ['a', 'b', 'b'].isSorted() && ![2.0, 1.0].isSorted() && [].isSorted()
        [1, 3].sum() == 4 && [1.0, 3.0].sum() == 4.0 && [].sum() == 0 && [duration('1m'), duration('1s')].sum() == duration('1m1s')
        [1, 3].min() == 1 && [1, 3].max() == 3 && ['b', 'a'].min() == 'a' && [1u, 2u].max() == 2u
        [1, 2, 2, 3].indexOf(2) == 1 && ['a', 'b', 'b'].lastIndexOf('b') == 2 && [1.0].indexOf(1.1) == -1 && [].indexOf('x') == -1
        [1, 2, 3].includes(2) && ![1, 2].includes(4) && 'a'.includes('a') && !'a'.includes('b')
        [1, 2, 3, 4].slice(1, 3) == [2, 3] && [1, 2].slice(2, 2) == [] && [1, 2].slice(0, 2) == [1, 2]
        [1, [2, [3, 4]]].flatten() == [1, 2, [3, 4]] && [1, 2, [], [3]].flatten() == [1, 2, 3] && [1, [2, [3, 4]]].flatten(2) == [1, 2, 3, 4] && [[1]].flatten(0) == [[1]]
        lists.range(4) == [0, 1, 2, 3] && lists.range(0) == [] && lists.range(-1) == []
        [5, 1, 2, 3].reverse() == [3, 2, 1, 5] && [].reverse() == []
        [4, 3, 2, 1].sort() == [1, 2, 3, 4] && ['d', 'a'].sort() == ['a', 'd'] && [].sort() == [] && [true, false].sort() == [false, true]
        [-2, 5, -2, 1, 1, 5].distinct() == [-2, 5, 1] && [1, 2.0, 'c', 3, 'c', 1].distinct() == [1, 2.0, 'c', 3] && [1, 1.0, 2].distinct() == [1, 2] && [[1], [1]].distinct() == [[1]]
        [1, 2].first().value() == 1 && [1, 2].last().value() == 2 && !(dyn([]).first().hasValue())
        sets.contains([], []) && sets.contains([1], [1, 1]) && sets.contains([1, 2, 3, 4], [2, 3]) && sets.contains([1, 2.0, 3u], [1.0, 2u, 3])
        !sets.contains([1], [2]) && !sets.contains([1], ['1', 1]) && sets.contains([[1], [2, 3]], [[2, 3.0]])
        sets.equivalent([1], [1u, 1.0]) && sets.equivalent([1, 2, 3], [3u, 2.0, 1]) && !sets.equivalent([2, 1], [1]) && !sets.equivalent([1, 2], [2u, 2, 2.0])
        sets.intersects([1], [1, 2]) && sets.intersects([[1], [2, 3]], [[1, 2], [2, 3.0]]) && !sets.intersects([], []) && !sets.intersects([1], ['1', 2])
        "#,
    );
    fail(&[
        ("[].min()", "min called on empty list"),
        ("[].max()", "max called on empty list"),
        ("['a'].sum()", "no such overload"),
        (
            "[1, 2, 3, 4].slice(3, 0)",
            "cannot slice(3, 0), start index must be less than or equal to end index",
        ),
        ("[1, 2, 3, 4].slice(0, 10)", "cannot slice(0, 10), list is length 4"),
        ("[1, 2, 3, 4].slice(-5, 10)", "cannot slice(-5, 10), negative indexes not supported"),
        ("[1].flatten(-1)", "level must be non-negative"),
        ("['d', 3].sort()", "list elements must have the same type"),
        ("[[1], [2]].sort()", "list elements must be comparable"),
    ]);
}

#[test]
fn conversions_and_types_hold() {
    hold(
        r#"
        int('-3') == -3 && int(3u) == 3 && int(3.9) == 3 && int(timestamp('1970-01-01T00:01:00Z')) == 60
        uint('3') == 3u && uint(3) == 3u && uint(3.9) == 3u && double('1.5') == 1.5 && double(2) == 2.0
        string(1) == '1' && string(1u) == '1' && string(true) == 'true' && string(b'a') == 'a' && string('a') == 'a'
        string(1.5) == '1.5' && string(1000000.0) == '1e+06' && string(123456.0) == '123456' && string(0.00001) == '1e-05' && string(1.0) == '1'
        string(duration('1h30m')) == '5400s' && string(duration('1500ms')) == '1.5s'
        string(timestamp('2026-01-02T03:04:05.600Z')) == '2026-01-02T03:04:05.6Z' && string(timestamp('2026-01-02T03:04:05+01:00')) == '2026-01-02T03:04:05+01:00'
        bytes('ÿ') == b'ÿ' && bool('true') && !bool('F') && bool(true) && dyn(1) == 1
        type(1) == int && type(1u) == uint && type(1.0) == double && type('') == string && type(b'') == bytes && type(true) == bool
        type([]) == list && type({}) == map && type(null) == null_type && type(int) == type && type(1) != string && type(type(1)) == type
        type(duration('1s')) == google.protobuf.Duration && type(timestamp(0)) == google.protobuf.Timestamp
        type(ip('10.0.0.1')) == net.IP && type(cidr('10.0.0.0/8')) == net.CIDR && type(optional.none()) == optional_type
        "#,
    );
    fail(&[
        ("int('x')", "type conversion error from 'string' to 'int'"),
        ("int(1e300)", "integer overflow"),
        ("uint(-1)", "unsigned integer overflow"),
        ("bool('yes')", "type conversion error from 'string' to 'bool'"),
        ("string(b'\\xff')", "invalid UTF-8"),
        ("string([1])", "no such overload"),
        ("int(true)", "no such overload"),
    ]);
}

#[test]
fn times_hold() {
    hold(
        r#"
        timestamp('2026-01-02T03:04:05.678Z').getFullYear() == 2026 && timestamp('2026-01-02T03:04:05Z').getMonth() == 0
        timestamp('2026-02-03T03:04:05Z').getDate() == 3 && timestamp('2026-02-03T03:04:05Z').getDayOfMonth() == 2 && timestamp('2026-02-03T03:04:05Z').getDayOfYear() == 33
        timestamp('2026-01-02T03:04:05Z').getDayOfWeek() == 5 && timestamp('2026-01-02T03:04:05.678Z').getMilliseconds() == 678
        timestamp('2026-01-02T03:04:05+02:00').getHours() == 1 && timestamp('2026-01-02T03:04:05Z').getHours('+02:30') == 5 && timestamp('2026-01-02T03:04:05Z').getMinutes('-02:30') == 34
        timestamp('2026-01-02T03:04:05Z').getHours('America/New_York') == 22 && timestamp('2026-07-02T03:04:05Z').getHours('Europe/Berlin') == 5 && timestamp('2026-01-02T03:04:05Z').getSeconds('UTC') == 5
        duration('3730s').getHours() == 1 && duration('3730s').getMinutes() == 62 && duration('3730s').getSeconds() == 3730 && duration('1.5s').getMilliseconds() == 1500
        duration('1h30m') == duration('90m') && duration('-1.5h') == duration('-90m') && duration('1us') > duration('1ns') && duration('0') == duration('0s') && duration(1000) == duration('1us')
        timestamp('2026-01-02T00:00:00Z') + duration('24h') == timestamp('2026-01-03T00:00:00Z') && duration('1h') - duration('30m') == duration('30m')
        timestamp('2026-01-03T00:00:00Z') - timestamp('2026-01-02T00:00:00Z') == duration('24h') && timestamp('2026-01-02T00:00:00Z') < timestamp('2026-01-02T00:00:00.1Z')
        timestamp('2026-01-02T01:00:00+01:00') == timestamp('2026-01-02T00:00:00Z') && -duration('1s') == duration('-1s')
        "#,
    );
    fail(&[
        (
            "timestamp('2026-13-01T00:00:00Z')",
            "type conversion error from 'string' to 'google.protobuf.Timestamp'",
        ),
        ("timestamp('2026-01-01')", "type conversion error"),
        ("duration('1d')", "type conversion error from 'string' to 'google.protobuf.Duration'"),
        ("timestamp('9999-12-31T23:59:59Z') + duration('1h')", "timestamp overflow"),
        ("duration('2562047h') + duration('2562047h')", "duration overflow"),
        ("timestamp(0).getHours('Mars/Olympus')", "unknown time zone Mars/Olympus"),
    ]);
}

#[test]
fn optionals_hold() {
    hold(
        r#"
        optional.of(1).hasValue() && !optional.none().hasValue() && optional.of(1).value() == 1 && optional.of(1) == optional.of(1.0)
        !optional.ofNonZeroValue('').hasValue() && optional.ofNonZeroValue('a').value() == 'a' && !optional.ofNonZeroValue([]).hasValue()
        optional.none().orValue(2) == 2 && optional.none().or(optional.of(3)).value() == 3 && optional.of(1).orValue(2) == 1
        {'a': 1}.?a.value() == 1 && !{'a': 1}.?b.hasValue() && {'a': {'b': 1}}.?a.b.value() == 1 && !{}.?a.?b.hasValue()
        {'a': 1}[?'a'] == optional.of(1) && [1][?0].value() == 1 && ![1][?1].hasValue() && !{'a': 1}[?'b'].hasValue()
        optional.of(2).optMap(x, x * 2).value() == 4 && !optional.none().optMap(x, x * 2).hasValue() && {'a': 'b'}.?a.optMap(v, 'x' + v).orValue('y') == 'xb'
        optional.of({'k': 1}).optFlatMap(x, x.?k).value() == 1 && !optional.of({'k': 1}).optFlatMap(x, x.?j).hasValue()
        optional.of(1).optMap(x, optional.of(2).optMap(y, x + y).value()).value() == 3
        optional.unwrap([optional.of(1), optional.none()]) == [1] && [optional.none(), optional.of(1)].unwrapOpt() == [1]
        [?optional.of(1), ?optional.none(), 2] == [1, 2] && {?'a': optional.of(1), ?'b': optional.none()} == {'a': 1} && has(optional.of({'a': 1}).a)
        "#,
    );
    fail(&[
        ("optional.none().value()", "optional.none() dereference"),
        ("[?1]", "no such overload"),
        ("1.?a", "no such overload"),
        ("optional.of(1).optMap(1, 1)", "argument must be a simple name"),
    ]);
}

#[test]
fn kubernetes_types_hold() {
    hold(
        r#"
        isIP('192.168.0.1') && !isIP('192.168.0.1.0') && isIP('2001:db8::68') && !isIP('2001:db8:::68') && !isIP('::ffff:1.2.3.4') && !isIP('fe80::1%eth0')
        ip.isCanonical('127.0.0.1') && ip.isCanonical('2001:db8::68') && !ip.isCanonical('2001:DB8::68')
        ip('192.168.0.1').family() == 4 && ip('2001:db8::68').family() == 6 && string(ip('192.168.0.1')) == '192.168.0.1'
        ip('0.0.0.0').isUnspecified() && ip('::').isUnspecified() && !ip('127.0.0.1').isUnspecified() && ip('127.0.0.1').isLoopback() && ip('::1').isLoopback()
        ip('224.0.0.1').isLinkLocalMulticast() && !ip('224.0.1.1').isLinkLocalMulticast() && ip('ff02::1').isLinkLocalMulticast() && ip('169.254.169.254').isLinkLocalUnicast() && ip('fe80::1').isLinkLocalUnicast()
        ip('192.168.0.1').isGlobalUnicast() && !ip('255.255.255.255').isGlobalUnicast() && ip('2001:db8::abcd').isGlobalUnicast() && !ip('ff00::1').isGlobalUnicast()
        isCIDR('10.0.0.0/8') && !isCIDR('10.0.0.0/33') && cidr('192.168.0.0/24').containsIP(ip('192.168.0.1')) && !cidr('192.168.0.0/24').containsIP('192.168.1.1')
        cidr('192.168.0.0/24').containsCIDR(cidr('192.168.0.0/25')) && cidr('192.168.0.0/24').containsCIDR('192.168.0.1/32') && !cidr('192.168.0.0/24').containsCIDR('192.168.0.0/23')
        cidr('192.168.0.0/24').ip() == ip('192.168.0.0') && cidr('192.168.0.1/24').masked() == cidr('192.168.0.0/24') && cidr('2001:db8::/32').prefixLength() == 32 && string(cidr('10.0.0.0/8')) == '10.0.0.0/8'
        isQuantity('20') && isQuantity('20M') && isQuantity('20Mi') && !isQuantity('20Mo') && !isQuantity('10Mm')
        quantity('200M') == quantity('0.2G') && quantity('2000k') == quantity('2M') && quantity('200M') != quantity('0.3G')
        quantity('50M').isLessThan(quantity('50Mi')) && quantity('50Mi').isGreaterThan(quantity('50M')) && !quantity('50M').isGreaterThan(quantity('100M'))
        quantity('200M').compareTo(quantity('0.2G')) == 0 && quantity('50M').compareTo(quantity('50Mi')) == -1 && quantity('50Mi').compareTo(quantity('50M')) == 1
        quantity('50k').add(quantity('20')) == quantity('50.02k') && quantity('50k').add(20) == quantity('50020') && quantity('50k').sub(20) == quantity('49980') && quantity('-1').sign() == -1
        quantity('50k').add(20).sub(quantity('100k')).sub(-50000).asInteger() == 20 && quantity('50k').isInteger() && !quantity('9999999999999999999999999999999999999G').isInteger()
        quantity('50.703k').asApproximateFloat() == 50703.0
        isSemver('1.2.3-beta.1+build.1') && !isSemver('') && !isSemver('v1.0.0') && !isSemver(' 1.0.0') && !isSemver('01.01.01') && !isSemver('1.1')
        isSemver('v1.0.0', true) && isSemver('01.01.01', true) && isSemver('1', true) && isSemver('1.1', true) && !isSemver('', true) && !isSemver('1.0.0 ', true)
        semver('v01.01', true) == semver('1.1.0') && semver('1.0.0').isLessThan(semver('1.2.3')) && semver('1.2.3').compareTo(semver('1.0.0')) == 1 && semver('1.0.0-a').isLessThan(semver('1.0.0'))
        semver('1.2.3').major() == 1 && semver('1.2.3').minor() == 2 && semver('1.2.3').patch() == 3
        isURL('https://a.b:80/c?d=e') && !isURL('a b') && url('https://a.b:80/c d').getScheme() == 'https' && url('https://a.b:80/').getHost() == 'a.b:80' && url('https://a.b:80/').getHostname() == 'a.b'
        url('https://a.b:80/').getPort() == '80' && url('https://a.b/').getPort() == '' && url('https://a.b/c%20d').getEscapedPath() == '/c%20d' && url('https://a.b/?k=v&k=w&l').getQuery() == {'k': ['v', 'w'], 'l': ['']}
        url('/path').getHost() == '' && !isURL('../relative') && url('https://[::1]:80/').getHostname() == '::1' && url('https://a.b').getEscapedPath() == ''
        !format.dns1123Label().validate('my-label-name').hasValue() && !format.dns1123Subdomain().validate('apiextensions.k8s.io').hasValue() && !format.qualifiedName().validate('apiextensions.k8s.io/v1beta1').hasValue()
        !format.dns1123LabelPrefix().validate('my-label-prefix-').hasValue() && !format.dns1123SubdomainPrefix().validate('mysubdomain.prefix.-').hasValue() && !format.dns1035LabelPrefix().validate('my-label-prefix-').hasValue()
        !format.uri().validate('http://example.com').hasValue() && !format.uuid().validate('123e4567-e89b-12d3-a456-426614174000').hasValue() && !format.byte().validate('aGVsbG8=').hasValue()
        !format.date().validate('2021-01-01').hasValue() && !format.datetime().validate('2021-01-01T00:00:00Z').hasValue() && !format.labelValue().validate('my-cool-label-Value').hasValue()
        format.byte().validate('aGVsbG8').value() == ['invalid base64'] && format.date().validate('2020-01-32').value() == ['invalid date'] && format.datetime().validate('2020-01-32T00:00:00Z').value() == ['invalid datetime']
        format.uuid().validate('x').value() == ['does not match the UUID format']
        format.dns1123Label().validate('contains a space').value() == ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
        format.dns1035Label().validate('contains a space').value() == ["a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"]
        format.qualifiedName().validate('contains a space').value() == ["name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"]
        !format.named('unknown').hasValue() && format.named('dns1123Label').hasValue() && format.named('uri').value() == format.uri() && format.date() != format.datetime()
        "#,
    );
    fail(&[
        ("ip('192.168.0.1.0')", "IP Address \"192.168.0.1.0\" parse error during conversion from string"),
        ("ip.isCanonical('127.0.0.1.0')", "parse error during conversion from string"),
        ("cidr('192.168.0.0/')", "network address parse error during conversion from string"),
        ("quantity('10Mo')", "quantities must match the regular expression"),
        ("quantity('10Mm')", "unable to parse quantity's suffix"),
        ("quantity('9999999999999999999999999999999999999G').asInteger()", "cannot convert value to integer"),
        ("semver('v1.0')", "No Major.Minor.Patch elements found"),
        ("semver('1.0.0').isLessThan(quantity('1'))", "no such overload"),
        ("isIP(1)", "no such overload"),
        ("url('../relative')", "URL parse error during conversion from string"),
    ]);
}

fn spent(text: &str) -> u64 {
    let expression = Expression::parse(text).unwrap();
    let mut meter = Meter::new(u64::MAX);
    expression.evaluate(&Nothing, &mut meter).unwrap();
    meter.spent()
}

#[test]
fn what_gathers_costs_as_much_as_it_gathers() {
    let loops =
        ["map(x, x)", "filter(x, true)", "transformList(i, x, x)", "transformMap(i, x, x)", "sortBy(x, -x)"];
    for loop_ in loops {
        let of = |n: u64| spent(&format!("[lists.range({n})].map(l, l.{loop_}.size())"));
        let (once, ten_times) = (of(1000), of(10_000));
        assert!(once > 1000 && ten_times < once * 20, "{loop_}: {once}, {ten_times}");
    }
}

#[test]
fn abuse_18_nothing_large_is_made_for_little() {
    let double = |start: &str, double: &str| format!("[{start}]{}", format!(".map(s, {double})").repeat(40));
    let long = "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'";
    let text = format!("[{long}]{}", ".map(s, s + s)".repeat(13));
    let table = [
        "lists.range(2000000000).size() > 0".to_owned(),
        "lists.range(2000).all(i, lists.range(2000).all(j, i == j || true))".into(),
        "[lists.range(1000)].all(l, l.map(x, l.map(y, y)).size() > 0)".into(),
        "lists.range(3000).distinct().size() > 0".into(),
        "[lists.range(3000)].all(l, sets.equivalent(l, l.reverse()))".into(),
        "[lists.range(1000)].all(l, l.all(x, l.sort().size() > 0))".into(),
        double(long, "s + s"),
        double(long, "s.replace('', s)"),
        double(long, "s.replace('a', 'aaaa')"),
        double(long, "[s, s].join(s)"),
        double(long, "'%s%s'.format([s, s])"),
        double("[1]", "s + s"),
        double("[1]", "[s, s].flatten()"),
        format!("{} == {}", double("1", "[s, s]"), double("1", "[s, s]")),
        format!("'%s'.format({})", double("1", "[s, s]")),
        format!("{text}.all(s, lists.range(100).all(i, s.indexOf('b') == -1))"),
        format!("{text}.all(s, lists.range(10000).all(i, s.size() > 0))"),
        format!("{text}.all(s, s.split('').all(c, true))"),
        format!("{text}.all(s, s.matches('(a{{1,30}}){{1,30}}b'))"),
        "lists.range(100000).all(i, 'a'.matches('(a{1,30}){1,30}' + string(i)) || true)".into(),
        format!("lists.range(100000).all(i, {}true)", "true && ".repeat(400)),
    ];
    for text in table {
        assert_eq!(
            evaluate(&text),
            Err("operation cancelled: actual cost limit exceeded".into()),
            "{}",
            &text[..text.len().min(120)]
        );
    }
}
