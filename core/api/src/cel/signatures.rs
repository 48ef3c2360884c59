//! What functions may be called with, as far as the kind of each argument tells.
//!
//! What isn't known before the evaluation (`dyn`) fits everywhere; so does what elements are of.

use std::{collections::HashMap, sync::LazyLock};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List,
    Map,
    Type,
    Optional,
    /// With named fields.
    Object,
    Cidr,
    Format,
    Ip,
    Quantity,
    Semver,
    Url,
}

use Kind::*;

/// By the word that the table has for it, and the name that messages have.
const KINDS: [(&str, Kind, &str); 21] = [
    ("any", Dyn, "dyn"),
    ("null", Null, "null_type"),
    ("bool", Bool, "bool"),
    ("int", Int, "int"),
    ("uint", Uint, "uint"),
    ("double", Double, "double"),
    ("string", String, "string"),
    ("bytes", Bytes, "bytes"),
    ("time", Timestamp, "google.protobuf.Timestamp"),
    ("span", Duration, "google.protobuf.Duration"),
    ("list", List, "list"),
    ("map", Map, "map"),
    ("type", Type, "type"),
    ("optional", Optional, "optional_type"),
    ("object", Object, "object"),
    ("cidr", Cidr, "net.CIDR"),
    ("format", Format, "kubernetes.NamedFormat"),
    ("ip", Ip, "net.IP"),
    ("quantity", Quantity, "kubernetes.Quantity"),
    ("semver", Semver, "kubernetes.Semver"),
    ("url", Url, "kubernetes.URL"),
];

/// Functions, and for each way to call them: target, arguments, result. Several kinds of a place are
/// several ways, unless they are parted by `|`.
const TABLE: &str = "
size: string|bytes|list|map.() int; (string|bytes|list|map) int
contains startsWith endsWith: string.(string) bool
matches: string.(string) bool; (string,string) bool
charAt: string.(int) string
lowerAscii upperAscii trim: string.() string
replace: string.(string,string) string; string.(string,string,int) string
split: string.(string) list; string.(string,int) list
substring: string.(int) string; string.(int,int) string
join: list.() string; list.(string) string
format: string.(list) string
strings.quote jsonpatch.escapeKey: (string) string
find: string.(string) string
findAll: string.(string) list; string.(string,int) list
indexOf lastIndexOf: string.(string) int; string.(string,int) int; list.(any) int
isSorted: list.() bool
sum min max: list.() any
includes: any.(any) bool
slice: list.(int,int) list
flatten: list.() list; list.(int) list
lists.range: (int) list
distinct reverse sort: list.() list
first last: list.() optional
sets.contains sets.equivalent sets.intersects: (list,list) bool
bool: (bool|string) bool
bytes: (bytes|string) bytes
double: (double|int|uint|string) double
int: (int|uint|double|string|time|span) int
uint: (uint|int|double|string) uint
string: (string|bool|int|uint|double|bytes|time|span|type|ip|cidr) string
timestamp: (time|string|int) time
duration: (span|string|int) span
dyn: (any) any
type: (any) type
getFullYear getMonth getDayOfYear getDayOfMonth getDate getDayOfWeek: time.() int; time.(string) int
getHours getMinutes getSeconds getMilliseconds: time|span.() int; time.(string) int
optional.none: () optional
optional.of optional.ofNonZeroValue: (any) optional
optional.unwrap: (list) list
unwrapOpt: list.() list
hasValue: optional.() bool
value: optional.() any
or: optional.(optional) optional
orValue: optional.(any) any
ip: (string) ip; cidr.() ip
isIP ip.isCanonical isCIDR: (string) bool
family: ip.() int
isUnspecified isLoopback isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast: ip.() bool
cidr: (string) cidr
containsIP: cidr.(string|ip) bool
containsCIDR: cidr.(string|cidr) bool
prefixLength: cidr.() int
masked: cidr.() cidr
url: (string) url
isURL: (string) bool
getScheme getHost getHostname getPort getEscapedPath: url.() string
getQuery: url.() map
quantity: (string) quantity
isQuantity: (string) bool
sign asInteger: quantity.() int
isInteger: quantity.() bool
asApproximateFloat: quantity.() double
add sub: quantity.(quantity|int) quantity
isLessThan isGreaterThan: quantity.(quantity) bool; semver.(semver) bool
compareTo: quantity.(quantity) int; semver.(semver) int
semver: (string) semver; (string,bool) semver
isSemver: (string) bool; (string,bool) bool
major minor patch: semver.() int
format.named: (string) optional
format.dns1123Label format.dns1123Subdomain format.dns1035Label format.qualifiedName: () format
format.dns1123LabelPrefix format.dns1123SubdomainPrefix format.dns1035LabelPrefix: () format
format.labelValue format.uri format.uuid format.byte format.date format.datetime: () format
validate: format.(string) optional
";

struct Way {
    member: bool,
    /// The target first, if there is one; each place with what fits there.
    places: Vec<Vec<Kind>>,
    result: Kind,
}

impl Kind {
    pub fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind, _)| *kind == self).map_or("dyn", |(.., name)| name)
    }
}

fn kinds(words: &str) -> Vec<Kind> {
    let kind = |word: &str| KINDS.iter().find(|(known, ..)| *known == word).map_or(Dyn, |(_, kind, _)| *kind);
    words.split('|').map(kind).collect()
}

fn way(text: &str) -> Option<Way> {
    let (target, rest) = text.split_once('(')?;
    let (arguments, result) = rest.split_once(')')?;
    let target = target.strip_suffix('.');
    let arguments = arguments.split(',').filter(|argument| !argument.is_empty());
    Some(Way {
        member: target.is_some(),
        places: target.into_iter().chain(arguments).map(kinds).collect(),
        result: kinds(result.trim())[0],
    })
}

fn ways(function: &str) -> Option<&'static [Way]> {
    static BY_NAME: LazyLock<HashMap<&str, Vec<Way>>> = LazyLock::new(|| {
        let mut all = HashMap::new();
        for (names, text) in TABLE.lines().filter_map(|line| line.split_once(':')) {
            for name in names.split(' ') {
                all.insert(name, text.split(';').filter_map(|text| way(text.trim())).collect());
            }
        }
        all
    });
    BY_NAME.get(function).map(Vec::as_slice)
}

/// What a call gives; `Dyn` for a function that is not in the table.
///
/// # Errors
/// The function can't be called so.
pub fn result(
    function: &str,
    member: bool,
    arguments: &[(Kind, std::string::String)],
) -> Result<Kind, std::string::String> {
    let Some(ways) = ways(function) else { return Ok(Dyn) };
    let fits = |way: &&Way| {
        let each = |(wanted, (given, _)): (&Vec<Kind>, &(Kind, _))| {
            *given == Dyn || wanted.contains(given) || wanted.contains(&Dyn)
        };
        way.member == member
            && way.places.len() == arguments.len()
            && way.places.iter().zip(arguments).all(each)
    };
    let mut fitting = ways.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(way), None) => Ok(way.result),
        // Which it is depends on what isn't known.
        (Some(way), Some(other)) => Ok(if way.result == other.result { way.result } else { Dyn }),
        (None, _) => {
            let names: Vec<&str> = arguments.iter().map(|(_, name)| name.as_str()).collect();
            let applied = match names.split_first().filter(|_| member) {
                Some((target, arguments)) => format!("{target}.({})", arguments.join(", ")),
                None => format!("({})", names.join(", ")),
            };
            Err(format!("found no matching overload for '{function}' applied to '{applied}'"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::library;

    #[test]
    fn every_function_has_its_signature() {
        for name in library::names() {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
            assert!(!plain || ways(name).is_some_and(|ways| !ways.is_empty()), "{name}");
        }
        for line in TABLE.lines().filter(|line| !line.is_empty()) {
            let (names, _) = line.split_once(':').unwrap();
            assert!(names.split(' ').all(|name| library::find(name).is_some()), "{line}");
        }
    }

    #[test]
    fn arguments_fit_or_are_refused() {
        type Row<'a> = (&'a str, bool, &'a [Kind], Result<Kind, &'a str>);
        let table: [Row<'_>; 8] = [
            ("startsWith", true, &[String, String], Ok(Bool)),
            ("startsWith", true, &[String, Int], Err("'startsWith' applied to 'string.(int)'")),
            ("startsWith", false, &[String, String], Err("'startsWith' applied to '(string, string)'")),
            ("size", true, &[Int], Err("'size' applied to 'int.()'")),
            ("size", false, &[Dyn], Ok(Int)),
            (
                "isLessThan",
                true,
                &[Quantity, Semver],
                Err("applied to 'kubernetes.Quantity.(kubernetes.Semver)'"),
            ),
            ("ip", false, &[String], Ok(Ip)),
            ("isIP", false, &[Cidr], Err("'isIP' applied to '(net.CIDR)'")),
        ];
        for (function, member, kinds, expected) in table {
            let arguments: Vec<_> = kinds.iter().map(|kind| (*kind, kind.name().to_owned())).collect();
            match (result(function, member, &arguments), expected) {
                (Ok(kind), Ok(wanted)) => assert_eq!(kind, wanted, "{function}"),
                (Err(why), Err(wanted)) => assert!(why.contains(wanted), "{why}"),
                (given, _) => panic!("{function} {kinds:?}: {given:?}"),
            }
        }
    }
}
