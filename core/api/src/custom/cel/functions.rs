//! The functions there are: what an expression may call, what it gets back, and what it costs.

use super::types::Ty;

/// Words before a dot that are part of a function's name: `math.greatest`.
const LIBRARIES: &[&str] =
    &["base64", "format", "ip", "jsonpatch", "lists", "math", "optional", "sets", "strings"];

pub fn is_library(word: &str) -> bool {
    LIBRARIES.contains(&word)
}

/// How the cost of a call grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Not at all.
    Fixed,
    /// With the sizes of what it is called with: a tenth of a unit a character or element.
    Linear,
    /// With the product of two sizes.
    Product,
}

/// A function's result type (`Dyn` when it depends), cost, and whether the result can be as large as
/// the arguments together.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    pub result: Ty<'static>,
    pub cost: Cost,
}

const fn fixed(result: Ty<'static>) -> Function {
    Function { result, cost: Cost::Fixed }
}

const fn linear(result: Ty<'static>) -> Function {
    Function { result, cost: Cost::Linear }
}

const fn product(result: Ty<'static>) -> Function {
    Function { result, cost: Cost::Product }
}

pub fn find(name: &str) -> Option<Function> {
    Some(match name {
        "_&&_"
        | "_||_"
        | "!_"
        | "@not_strictly_false"
        | "hasValue"
        | "isInteger"
        | "isIPv4"
        | "isIPv6"
        | "isGlobalUnicast"
        | "isLinkLocalMulticast"
        | "isLinkLocalUnicast"
        | "isLoopback"
        | "isUnspecified"
        | "math.isFinite"
        | "math.isInf"
        | "math.isNaN"
        | "isGreaterThan"
        | "isLessThan"
        | "containsCIDR"
        | "containsIP" => fixed(Ty::Bool),
        "_<_" | "_<=_" | "_>_" | "_>=_" | "_==_" | "_!=_" | "startsWith" | "endsWith" | "isSorted"
        | "isURL" | "isIP" | "isCIDR" | "isQuantity" | "isSemver" | "ip.isCanonical" | "@in" | "bool" => {
            linear(Ty::Bool)
        }
        "contains" | "matches" | "sets.contains" | "sets.equivalent" | "sets.intersects" => product(Ty::Bool),
        "size" | "sign" | "compareTo" | "family" | "prefixLength" | "major" | "minor" | "asInteger"
        | "math.sign" | "getDate" | "getDayOfMonth" | "getDayOfWeek" | "getDayOfYear" | "getFullYear"
        | "getHours" | "getMilliseconds" | "getMinutes" | "getMonth" | "getSeconds" => fixed(Ty::Int),
        "int" => fixed(Ty::Int),
        "indexOf" | "lastIndexOf" => product(Ty::Int),
        "uint" => fixed(Ty::Dyn),
        "double" => fixed(Ty::Double),
        "asApproximateFloat" | "math.sqrt" | "math.ceil" | "math.floor" | "math.round" | "math.trunc" => {
            fixed(Ty::Double)
        }
        "string"
        | "charAt"
        | "lowerAscii"
        | "upperAscii"
        | "substring"
        | "trim"
        | "join"
        | "strings.quote"
        | "base64.encode"
        | "jsonpatch.escapeKey"
        | "getEscapedPath"
        | "getHost"
        | "getHostname"
        | "getPort"
        | "getScheme" => linear(Ty::String),
        "replace" | "format" | "find" => product(Ty::String),
        "split" | "findAll" => product(Ty::Dyn),
        "bytes" | "base64.decode" => linear(Ty::Dyn),
        "duration" => fixed(Ty::Duration),
        "timestamp" => fixed(Ty::Timestamp),
        "_+_" => linear(Ty::Dyn),
        "_-_" | "_*_" | "_/_" | "_%_" | "-_" | "_?_:_" | "_[_]" | "_[?_]" | "_?._" => fixed(Ty::Dyn),
        "distinct" | "first" | "flatten" | "last" | "lists.range" | "max" | "min" | "reverse" | "slice"
        | "sort" | "sum" | "url" | "ip" | "cidr" | "quantity" | "semver" | "getQuery" | "masked"
        | "validate" => linear(Ty::Dyn),
        "add"
        | "sub"
        | "patch"
        | "or"
        | "orValue"
        | "value"
        | "optional.none"
        | "optional.of"
        | "optional.ofNonZeroValue"
        | "math.abs"
        | "math.bitAnd"
        | "math.bitNot"
        | "math.bitOr"
        | "math.bitShiftLeft"
        | "math.bitShiftRight"
        | "math.bitXor"
        | "math.greatest"
        | "math.least"
        | "type"
        | "dyn"
        | "format.byte"
        | "format.date"
        | "format.datetime"
        | "format.dns1035Label"
        | "format.dns1035LabelPrefix"
        | "format.dns1123Label"
        | "format.dns1123LabelPrefix"
        | "format.dns1123Subdomain"
        | "format.dns1123SubdomainPrefix"
        | "format.labelValue"
        | "format.named"
        | "format.qualifiedName"
        | "format.uri"
        | "format.uuid" => fixed(Ty::Dyn),
        _ => return None,
    })
}
