//! The settings that SHOW and `current_setting` tell of: what a client has set, and else what
//! holds here, of the names that drivers and tools ask for.
//!
//! Next to nothing of it has an effect; what has, `settings` knows. It is a connection's own, and
//! what a client sets is bounded: it stays as long as the connection does.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use datafusion::{
    arrow::{
        array::{Array, AsArray, StringArray},
        compute::cast,
        datatypes::DataType,
    },
    common::{DataFusionError, Result, ScalarValue},
    logical_expr::{
        ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
        create_udf,
    },
};
use parking_lot::Mutex;

use super::VERSION;

/// [`VERSION`] as one number.
const VERSION_NUMBER: &str = "160006";
/// The version, as the handshake tells it too.
const SERVER_VERSION: &str = "server_version";

/// What is as it is here, whatever a client sets; names as Postgres writes them.
const FIXED: [(&str, &str); 11] = [
    ("block_size", "8192"),
    ("client_encoding", "UTF8"),
    ("default_transaction_read_only", "on"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("is_superuser", "off"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("server_encoding", "UTF8"),
    ("server_version_num", VERSION_NUMBER),
    ("standard_conforming_strings", "on"),
];

/// What holds until a client sets another.
const SETTABLE: [(&str, &str); 21] = [
    ("application_name", ""),
    ("bytea_output", "hex"),
    ("client_min_messages", "notice"),
    ("DateStyle", "ISO, YMD"),
    ("default_transaction_deferrable", "off"),
    ("default_transaction_isolation", "read committed"),
    ("escape_string_warning", "on"),
    ("extra_float_digits", "1"),
    ("idle_in_transaction_session_timeout", "0"),
    ("idle_session_timeout", "0"),
    ("IntervalStyle", "postgres"),
    ("jit", "off"),
    ("lock_timeout", "0"),
    ("role", "none"),
    ("row_security", "on"),
    ("search_path", "public"),
    ("statement_timeout", "0"),
    ("TimeZone", "UTC"),
    ("transaction_deferrable", "off"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
];

/// Settings that are kept of a client, beside those that are known.
const MOST: usize = 64;
/// Bytes of a name, and of a value.
const LONGEST: usize = 1024;

/// What an unknown name is told.
const UNKNOWN: &str = "unrecognized configuration parameter";

/// The settings of a connection.
#[derive(Debug, Default)]
pub struct Variables(Mutex<Given>);

#[derive(Debug, Default)]
struct Given {
    /// When the client connected.
    begun: BTreeMap<String, String>,
    /// Since.
    set: BTreeMap<String, String>,
}

impl Variables {
    /// What a client says when it connects; what is too much of it is left out.
    pub fn begin(&self, begun: impl IntoIterator<Item = (String, String)>) {
        let mut given = self.0.lock();
        for (name, value) in begun {
            if has_room(&given.begun, &name, &value).is_ok() {
                given.begun.insert(name.to_lowercase(), value);
            }
        }
    }

    /// # Errors
    /// It is too long, or one too many.
    pub fn set(&self, name: &str, value: &str) -> std::result::Result<(), String> {
        let (name, mut given) = (name.to_lowercase(), self.0.lock());
        has_room(&given.set, &name, value)?;
        given.set.insert(name, value.to_owned());
        Ok(())
    }

    /// One is as it was at the begin; without a name all are.
    pub fn reset(&self, name: Option<&str>) {
        let mut given = self.0.lock();
        match name {
            Some(name) => drop(given.set.remove(&name.to_lowercase())),
            None => given.set.clear(),
        }
    }

    /// What the client said of it when it connected.
    pub fn begun(&self, name: &str) -> Option<String> {
        self.0.lock().begun.get(name).cloned()
    }

    /// The name as Postgres writes it, and the value.
    pub fn get(&self, name: &str) -> Option<(String, String)> {
        let name = name.to_lowercase();
        if name == SERVER_VERSION {
            return Some((name, server_version()));
        }
        let is_meant = |known: &&(&str, &str)| known.0.eq_ignore_ascii_case(&name);
        if let Some((shown, value)) = FIXED.iter().find(is_meant) {
            return Some(((*shown).to_owned(), (*value).to_owned()));
        }
        let known = SETTABLE.iter().find(is_meant);
        let given = self.0.lock();
        let own = given.set.get(&name).or_else(|| given.begun.get(&name)).cloned();
        let value = own.or_else(|| known.map(|(_, value)| (*value).to_owned()))?;
        Some((known.map_or(name, |(shown, _)| (*shown).to_owned()), value))
    }
}

/// Whether a value may be kept.
fn has_room(kept: &BTreeMap<String, String>, name: &str, value: &str) -> std::result::Result<(), String> {
    if name.len() > LONGEST || value.len() > LONGEST {
        return Err(format!("a setting has {LONGEST} bytes at most"));
    }
    let is_known = |known: &(&str, &str)| known.0.eq_ignore_ascii_case(name);
    let others = kept.keys().filter(|name| !SETTABLE.iter().any(|known| known.0.eq_ignore_ascii_case(name)));
    if kept.contains_key(name) || SETTABLE.iter().any(is_known) || others.count() < MOST {
        return Ok(());
    }
    Err(format!("a connection keeps {MOST} settings of names that mean nothing here; reset some"))
}

/// How the server calls its version.
pub fn server_version() -> String {
    format!("{VERSION} (Tiphys {})", env!("CARGO_PKG_VERSION"))
}

/// What somebody is told who asks for a setting that there is not.
pub fn unknown(name: &str) -> String {
    format!("{UNKNOWN} \"{name}\"")
}

/// `current_setting(name [, missing_ok])`, and `pg_advisory_unlock_all()`, which pools of
/// connections call when they take one back: there are no locks.
pub fn functions(variables: &Arc<Variables>) -> [ScalarUDF; 2] {
    let exact = |kinds: &[DataType]| TypeSignature::Exact(kinds.to_vec());
    let forms = vec![exact(&[DataType::Utf8]), exact(&[DataType::Utf8, DataType::Boolean])];
    let signature = Signature::one_of(forms, Volatility::Stable);
    let nothing = |_: &[ColumnarValue]| Ok(ColumnarValue::Scalar(ScalarValue::Utf8(None)));
    [
        ScalarUDF::from(CurrentSetting { variables: variables.clone(), signature }),
        create_udf("pg_advisory_unlock_all", vec![], DataType::Utf8, Volatility::Stable, Arc::new(nothing)),
    ]
}

#[derive(Debug)]
struct CurrentSetting {
    variables: Arc<Variables>,
    signature: Signature,
}

impl PartialEq for CurrentSetting {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.variables, &other.variables)
    }
}

impl Eq for CurrentSetting {}

impl Hash for CurrentSetting {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.variables).hash(state);
    }
}

impl ScalarUDFImpl for CurrentSetting {
    fn name(&self) -> &str {
        "current_setting"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let names = cast(&arrays[0], &DataType::Utf8)?;
        let may_miss = |row: usize| {
            let flags = arrays.get(1).and_then(|flags| flags.as_boolean_opt());
            flags.is_some_and(|flags| flags.is_valid(row) && flags.value(row))
        };
        let found = names.as_string::<i32>().iter().enumerate().map(|(row, name)| {
            let Some(name) = name else { return Ok(None) };
            match self.variables.get(name) {
                Some((_, value)) => Ok(Some(value)),
                None if may_miss(row) => Ok(None),
                None => Err(DataFusionError::Execution(unknown(name))),
            }
        });
        Ok(ColumnarValue::Array(Arc::new(found.collect::<Result<StringArray>>()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_has_set_counts_where_it_may_be_set() {
        let variables = Variables::default();
        let get = |name: &str| variables.get(name).map(|(shown, value)| format!("{shown}={value}"));
        assert_eq!(get("TIMEZONE").as_deref(), Some("TimeZone=UTC"));
        variables.begin([("TimeZone".to_owned(), "Asia/Tokyo".to_owned())]);
        assert_eq!(get("timezone").as_deref(), Some("TimeZone=Asia/Tokyo"));
        variables.set("timezone", "Europe/Berlin").expect("set");
        variables.set("my.own", "1").expect("set");
        variables.set("client_encoding", "LATIN1").expect("set");
        assert_eq!(get("timezone").as_deref(), Some("TimeZone=Europe/Berlin"));
        assert_eq!(get("My.Own").as_deref(), Some("my.own=1"));
        assert_eq!(get("client_encoding").as_deref(), Some("client_encoding=UTF8"), "nothing else is sent");
        variables.reset(Some("TimeZone"));
        assert_eq!(get("timezone").as_deref(), Some("TimeZone=Asia/Tokyo"));
        variables.reset(None);
        assert_eq!(get("my.own"), None);
    }

    #[test]
    fn the_version_is_the_handshakes_in_both_forms() {
        let (major, minor) = VERSION.split_once('.').expect("two numbers");
        let numbers: [u32; 2] = [major, minor].map(|number| number.parse().expect("a number"));
        assert_eq!(VERSION_NUMBER, (numbers[0] * 10_000 + numbers[1]).to_string());
        let variables = Variables::default();
        assert_eq!(variables.get("server_version").map(|(_, value)| value), Some(server_version()));
    }

    #[test]
    fn abuse_35_a_connection_keeps_few_settings() {
        let variables = Variables::default();
        (0..MOST).for_each(|number| variables.set(&format!("own.s{number}"), "1").expect("set"));
        assert!(variables.set("own.more", "1").is_err());
        variables.set("own.s0", "2").expect("it is there already");
        variables.set("DateStyle", "ISO").expect("it is known");
        assert!(variables.set("DateStyle", &"x".repeat(LONGEST + 1)).is_err());
        variables.reset(None);
        variables.set("own.more", "1").expect("there is room again");
    }
}
