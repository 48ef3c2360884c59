//! What a LogQL query says.

/// A query: lines, or numbers made of lines.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    Logs(LogQuery),
    Metric(Metric),
}

/// `{selector} | stage | stage`
#[derive(Debug, Clone, PartialEq)]
pub struct LogQuery {
    pub selector: Vec<Matcher>,
    pub stages: Vec<Stage>,
}

/// `name="value"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    pub name: String,
    pub op: MatchOp,
    pub value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOp {
    Equal,
    NotEqual,
    Regex,
    NotRegex,
}

impl MatchOp {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// `|= "a" or "b"`
    Line {
        op: MatchOp,
        texts: Vec<String>,
    },
    /// All fields, or some: label and path.
    Json(Vec<(String, String)>),
    Logfmt {
        strict: bool,
        keep_empty: bool,
        picks: Vec<(String, String)>,
    },
    Regexp(String),
    Pattern(String),
    Unpack,
    Filter(LabelFilter),
    LineFormat(Format),
    LabelFormat(Vec<(String, Renamed)>),
    Decolorize,
    Drop(Vec<Pick>),
    Keep(Vec<Pick>),
    Unwrap {
        label: String,
        convert: Option<Convert>,
    },
}

/// A label by its name, or only where it has a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    Name(String),
    Where(Matcher),
}

/// What a label becomes: another one's value, or a text made of some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renamed {
    Label(String),
    Text(Format),
}

/// `status {{.status}}`: texts and labels in turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format(pub Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    Label(String),
    /// `{{__line__}}`
    Line,
}

#[derive(Debug, Clone, PartialEq)]
pub enum LabelFilter {
    Text(Matcher),
    Number { name: String, op: Compare, value: Quantity },
    And(Box<LabelFilter>, Box<LabelFilter>),
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    Equal,
    NotEqual,
    Greater,
    AtLeast,
    Less,
    AtMost,
}

impl Compare {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Less => "<",
            Self::AtMost => "<=",
        }
    }

    pub fn holds(self, a: f64, b: f64) -> bool {
        match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Greater => a > b,
            Self::AtLeast => a >= b,
            Self::Less => a < b,
            Self::AtMost => a <= b,
        }
    }
}

/// A number as it is written, and in base units: `1.5s`, `4KiB`, `500`.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    pub text: String,
    pub kind: Kind,
    pub number: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    /// In seconds.
    Duration,
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convert {
    Duration,
    DurationSeconds,
    Bytes,
}

impl Convert {
    pub fn name(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::DurationSeconds => "duration_seconds",
            Self::Bytes => "bytes",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Metric {
    Number(f64),
    /// `vector(1)`
    Vector(f64),
    Range(Box<RangeAggregation>),
    Aggregation {
        op: VectorOp,
        param: Option<f64>,
        group: Option<Group>,
        inner: Box<Metric>,
    },
    Binary {
        op: BinaryOp,
        bool: bool,
        matching: Option<Group>,
        left: Box<Metric>,
        right: Box<Metric>,
    },
}

/// `rate({...} | json [5m])`
#[derive(Debug, Clone, PartialEq)]
pub struct RangeAggregation {
    pub op: RangeOp,
    /// Of a quantile.
    pub param: Option<f64>,
    pub logs: LogQuery,
    /// Nanoseconds.
    pub range: i64,
    pub offset: i64,
    pub group: Option<Group>,
}

/// `by (a, b)`, `without (a)`; of operators `on` and `ignoring`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub without: bool,
    pub labels: Vec<String>,
}

macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $type { $($variant),+ }

        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            pub fn of(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }
    };
}

named!(RangeOp {
    Rate = "rate",
    RateCounter = "rate_counter",
    Count = "count_over_time",
    BytesRate = "bytes_rate",
    Bytes = "bytes_over_time",
    Absent = "absent_over_time",
    Sum = "sum_over_time",
    Avg = "avg_over_time",
    Min = "min_over_time",
    Max = "max_over_time",
    First = "first_over_time",
    Last = "last_over_time",
    Stddev = "stddev_over_time",
    Stdvar = "stdvar_over_time",
    Quantile = "quantile_over_time",
});

named!(VectorOp {
    Sum = "sum",
    Avg = "avg",
    Min = "min",
    Max = "max",
    Count = "count",
    Stddev = "stddev",
    Stdvar = "stdvar",
    TopK = "topk",
    BottomK = "bottomk",
    Sort = "sort",
    SortDesc = "sort_desc",
});

named!(BinaryOp {
    Or = "or",
    And = "and",
    Unless = "unless",
    Equal = "==",
    NotEqual = "!=",
    AtLeast = ">=",
    Greater = ">",
    AtMost = "<=",
    Less = "<",
    Add = "+",
    Subtract = "-",
    Multiply = "*",
    Divide = "/",
    Modulo = "%",
    Power = "^",
});

impl BinaryOp {
    /// Binds closer, the greater.
    pub fn rank(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Modulo => 5,
            Self::Power => 6,
            _ => 3,
        }
    }

    pub fn is_set(self) -> bool {
        matches!(self, Self::Or | Self::And | Self::Unless)
    }

    pub fn compare(self) -> Option<Compare> {
        Some(match self {
            Self::Equal => Compare::Equal,
            Self::NotEqual => Compare::NotEqual,
            Self::AtLeast => Compare::AtLeast,
            Self::Greater => Compare::Greater,
            Self::AtMost => Compare::AtMost,
            Self::Less => Compare::Less,
            _ => return None,
        })
    }
}
