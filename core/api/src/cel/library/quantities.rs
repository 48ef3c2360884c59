//! Resource quantities, exact also where they are beyond what a resource can have.

use std::{cmp::Ordering, sync::Arc};

use kube_cel::cel::{Value, objects::Opaque};

use super::{Table, opaque};
use crate::cel::{evaluate::Outcome, fault::Fault, meter::Meter};

/// `mantissa` times ten to the `scale`.
#[derive(Debug, Clone, Copy)]
struct Quantity {
    mantissa: i128,
    scale: i32,
    /// Whether it can be told as a machine's integer: what has more digits can't, whatever it is.
    plain: bool,
}

impl Opaque for Quantity {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.Quantity"
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

/// Digits of a plain one.
const PLAIN: usize = 18;
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
const BINARY: [(&str, u32); 6] = [("Ki", 10), ("Mi", 20), ("Gi", 30), ("Ti", 40), ("Pi", 50), ("Ei", 60)];
const FORM: &str =
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const SUFFIX: &str = "unable to parse quantity's suffix";

pub const FUNCTIONS: Table = &[
    ("quantity", |args, meter| {
        let quantity = parse(text(args, meter)?).map_err(Fault::told)?;
        Ok(value(quantity))
    }),
    ("isQuantity", |args, meter| Ok(Value::Bool(parse(text(args, meter)?).is_ok()))),
    ("sign", |args, _| {
        let [of] = args else { return Err(Fault::overload()) };
        Ok(Value::Int(opaque::<Quantity>(of)?.mantissa.signum() as i64))
    }),
    ("isInteger", |args, _| {
        let [of] = args else { return Err(Fault::overload()) };
        Ok(Value::Bool(opaque::<Quantity>(of)?.integer().is_some()))
    }),
    ("asInteger", |args, _| {
        let [of] = args else { return Err(Fault::overload()) };
        let whole = opaque::<Quantity>(of)?.integer();
        whole.map(Value::Int).ok_or_else(|| Fault::told("cannot convert value to integer"))
    }),
    ("asApproximateFloat", |args, _| {
        let [of] = args else { return Err(Fault::overload()) };
        let of = opaque::<Quantity>(of)?;
        let float = format!("{}e{}", of.mantissa, of.scale).parse();
        Ok(Value::Float(float.unwrap_or(f64::NAN)))
    }),
    ("add", |args, _| with(args, 1)),
    ("sub", |args, _| with(args, -1)),
];

/// How two quantities compare.
///
/// # Errors
/// One is none.
pub fn order(one: &Value, other: &Value) -> Result<Ordering, Fault> {
    Ok(opaque::<Quantity>(one)?.order(opaque(other)?))
}

fn value(quantity: Quantity) -> Value {
    Value::Opaque(Arc::new(quantity))
}

fn text<'a>(args: &'a [Value], meter: &mut Meter) -> Result<&'a str, Fault> {
    let [Value::String(text)] = args else { return Err(Fault::overload()) };
    meter.bytes(text.len())?;
    Ok(text)
}

fn with(args: &[Value], sign: i128) -> Outcome {
    let [one, other] = args else { return Err(Fault::overload()) };
    let other = match other {
        Value::Int(number) => Quantity { mantissa: i128::from(*number), scale: 0, plain: true },
        other => *opaque::<Quantity>(other)?,
    };
    let sum = opaque::<Quantity>(one)?.add(Quantity { mantissa: other.mantissa * sign, ..other });
    sum.map(value).ok_or_else(|| Fault::told("quantity overflow"))
}

fn power(exponent: i32) -> Option<i128> {
    10_i128.checked_pow(u32::try_from(exponent).ok()?)
}

impl Quantity {
    fn integer(&self) -> Option<i64> {
        let whole = self.mantissa.checked_mul(power(self.scale)?)?;
        i64::try_from(whole).ok().filter(|_| self.plain)
    }

    /// The same with a scale that is not larger.
    fn at(&self, scale: i32) -> Option<i128> {
        if self.mantissa == 0 { Some(0) } else { self.mantissa.checked_mul(power(self.scale - scale)?) }
    }

    fn add(&self, other: Self) -> Option<Self> {
        let scale = self.scale.min(other.scale);
        let mantissa = self.at(scale)?.checked_add(other.at(scale)?)?;
        Some(Self { mantissa, scale, plain: self.plain && other.plain && i64::try_from(mantissa).is_ok() })
    }

    fn order(&self, other: &Self) -> Ordering {
        let scale = self.scale.min(other.scale);
        match (self.at(scale), other.at(scale)) {
            (Some(one), Some(other)) => one.cmp(&other),
            // Only what is beyond all digits can't be written out.
            (None, _) if self.mantissa > 0 => Ordering::Greater,
            (None, _) => Ordering::Less,
            (_, None) if other.mantissa > 0 => Ordering::Less,
            _ => Ordering::Greater,
        }
    }
}

fn parse(text: &str) -> Result<Quantity, String> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let letters = suffix.trim_end_matches(|c: char| c.is_ascii_digit());
    let letters = letters.strip_suffix(['+', '-']).unwrap_or(letters);
    let formed = letters.bytes().all(|letter| b"eEinumkKMGTP".contains(&letter));
    if !formed || fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(FORM.into());
    }
    let whole = whole.trim_start_matches('0');
    // What is finer than a billionth is rounded up.
    let digits: i128 = match format!("{whole}{fraction}").as_str() {
        "" => 0,
        digits => digits.parse().map_err(|_| FORM.to_owned())?,
    };
    let mut quantity = Quantity { mantissa: digits, scale: 0, plain: whole.len() + fraction.len() <= PLAIN };
    if let Some((_, bits)) = BINARY.iter().find(|(known, _)| *known == suffix) {
        quantity.mantissa = digits.checked_mul(1 << bits).ok_or_else(|| SUFFIX.to_owned())?;
        quantity.plain = fraction.is_empty() && i64::try_from(quantity.mantissa).is_ok();
    } else if let Some((_, scale)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        quantity.scale = *scale;
    } else {
        let exponent = suffix.strip_prefix(['e', 'E']).and_then(|exponent| exponent.parse::<i16>().ok());
        quantity.scale = exponent.ok_or_else(|| SUFFIX.to_owned())?.into();
    }
    quantity.scale -= fraction.len() as i32;
    if text.starts_with('-') {
        quantity.mantissa = -quantity.mantissa;
    }
    Ok(round(quantity))
}

/// To billionths, away from zero.
fn round(quantity: Quantity) -> Quantity {
    let finer = -9 - quantity.scale;
    if finer <= 0 || quantity.mantissa == 0 {
        return quantity;
    }
    let sign = quantity.mantissa.signum();
    let size = quantity.mantissa.abs();
    let mantissa = power(finer).map_or(1, |unit| size / unit + i128::from(size % unit > 0));
    Quantity { mantissa: mantissa * sign, scale: -9, ..quantity }
}
