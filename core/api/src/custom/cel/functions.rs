//! The functions there are: what an expression may call, what it gets back, and what it costs.

use std::{collections::HashMap, sync::LazyLock};

use super::schema_type::Ty;

/// How the cost of a call grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Not at all.
    Fixed,
    /// With the sizes of what it is called with: a tenth of a unit a character or element.
    Linear,
    /// With the product of two sizes.
    Product,
    /// As each element is compared with each.
    Squared,
}

/// A function's result type (`Dyn` when it depends), cost, and whether the result can be as large as
/// the arguments together.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    pub result: Ty<'static>,
    pub cost: Cost,
}

/// By result and cost; names as the parser has them, operators among them.
const ALL: &[(Ty<'static>, Cost, &str)] = &[
    (
        Ty::Bool,
        Cost::Fixed,
        "_&&_ _||_ !_ @not_strictly_false hasValue isInteger isGlobalUnicast isLinkLocalMulticast \
         isLinkLocalUnicast isLoopback isUnspecified isGreaterThan isLessThan containsCIDR containsIP",
    ),
    (
        Ty::Bool,
        Cost::Linear,
        "_<_ _<=_ _>_ _>=_ _==_ _!=_ startsWith endsWith isSorted isURL isIP isCIDR isQuantity \
         isSemver ip.isCanonical @in bool includes",
    ),
    (Ty::Bool, Cost::Product, "contains matches sets.contains sets.equivalent sets.intersects"),
    (
        Ty::Int,
        Cost::Fixed,
        "size sign compareTo family prefixLength major minor patch asInteger getDate \
         getDayOfMonth getDayOfWeek getDayOfYear getFullYear getHours getMilliseconds getMinutes \
         getMonth getSeconds int",
    ),
    (Ty::Int, Cost::Product, "indexOf lastIndexOf"),
    (
        Ty::Dyn,
        Cost::Fixed,
        "uint _-_ _*_ _/_ _%_ -_ _?_:_ _[_] _[?_] _?._ add sub or orValue value first last \
         optional.none optional.of optional.ofNonZeroValue type dyn format.byte format.date \
         format.datetime format.dns1035Label format.dns1035LabelPrefix format.dns1123Label \
         format.dns1123LabelPrefix format.dns1123Subdomain format.dns1123SubdomainPrefix \
         format.labelValue format.named format.qualifiedName format.uri format.uuid",
    ),
    (Ty::Double, Cost::Fixed, "double asApproximateFloat"),
    (
        Ty::String,
        Cost::Linear,
        "string charAt lowerAscii upperAscii substring trim join strings.quote jsonpatch.escapeKey \
         getEscapedPath getHost getHostname getPort getScheme",
    ),
    (Ty::String, Cost::Product, "replace format find"),
    (Ty::Dyn, Cost::Product, "split findAll"),
    (Ty::Dyn, Cost::Squared, "distinct"),
    (
        Ty::Dyn,
        Cost::Linear,
        "@with @with_all sort @sortByAssociatedKeys bytes _+_ flatten lists.range max min reverse slice sum url ip cidr quantity \
         semver getQuery masked validate optional.unwrap unwrapOpt",
    ),
    (Ty::Duration, Cost::Fixed, "duration"),
    (Ty::Timestamp, Cost::Fixed, "timestamp"),
];

pub fn find(name: &str) -> Option<Function> {
    static BY_NAME: LazyLock<HashMap<&str, Function>> = LazyLock::new(|| {
        let named = |(result, cost, names): &(Ty<'static>, Cost, &'static str)| {
            let function = Function { result: *result, cost: *cost };
            names.split(' ').map(move |name| (name, function)).collect::<Vec<_>>()
        };
        ALL.iter().flat_map(named).collect()
    });
    BY_NAME.get(name).copied()
}
