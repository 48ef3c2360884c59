//! JSONPath as kubectl and printed columns use it: `.spec.replicas`,
//! `.status.conditions[?(@.type=="Ready")].status`, `.metadata.labels['a.b/c']`, `..image`.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    /// Every field or element.
    All,
    /// The value itself and all below it.
    Descend,
    Index(i64),
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: i64,
    },
    Filter {
        left: Operand,
        operator: &'static str,
        right: Option<Operand>,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Operand {
    Path(JsonPath),
    Literal(Value),
}

const OPERATORS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];

impl JsonPath {
    /// # Errors
    /// What can't be read, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, at: 0 };
        let steps = parser.steps()?;
        match parser.rest() {
            "" => Ok(Self(steps)),
            rest => Err(format!("unexpected {rest:?} at character {}", parser.at)),
        }
    }

    /// Every value that the path leads to.
    pub fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![value];
        for step in &self.0 {
            found = found.into_iter().flat_map(|value| step.of(value)).collect();
        }
        found
    }
}

impl Step {
    fn of<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::All => children(value).collect(),
            Self::Descend => {
                let mut all = Vec::new();
                descend(value, &mut all);
                all
            }
            Self::Index(index) => at(value, *index).into_iter().collect(),
            Self::Slice { from, to, step } => slice(value, *from, *to, *step),
            Self::Filter { left, operator, right } => children(value)
                .filter(|element| match right {
                    None => left.of(element).is_some(),
                    Some(right) => compare(left.of(element), operator, right.of(element)),
                })
                .collect(),
        }
    }
}

impl Operand {
    fn of<'a>(&'a self, element: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Path(path) => path.find(element).into_iter().next(),
            Self::Literal(value) => Some(value),
        }
    }
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(map) => Box::new(map.values()),
        _ => Box::new(std::iter::empty()),
    }
}

fn descend<'a>(value: &'a Value, all: &mut Vec<&'a Value>) {
    all.push(value);
    children(value).for_each(|child| descend(child, all));
}

fn place(index: i64, length: usize) -> i64 {
    if index < 0 { index + length as i64 } else { index }
}

fn at(value: &Value, index: i64) -> Option<&Value> {
    let items = value.as_array()?;
    items.get(usize::try_from(place(index, items.len())).ok()?)
}

fn slice(value: &Value, from: Option<i64>, to: Option<i64>, step: i64) -> Vec<&Value> {
    let Some(items) = value.as_array() else { return Vec::new() };
    let bound = |index: i64| place(index, items.len()).clamp(0, items.len() as i64) as usize;
    let (from, to) = (bound(from.unwrap_or(0)), to.map_or(items.len(), bound));
    items[from.min(to)..to].iter().step_by(step.max(1) as usize).collect()
}

fn compare(left: Option<&Value>, operator: &str, right: Option<&Value>) -> bool {
    let (Some(left), Some(right)) = (left, right) else { return false };
    let order = match (left, right) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()),
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    order.is_some_and(|order| match operator {
        "==" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    /// Steps as far as there are some.
    fn steps(&mut self) -> Result<Vec<Step>, String> {
        let mut steps = Vec::new();
        loop {
            if self.take("..") {
                steps.push(Step::Descend);
                steps.extend(self.name());
            } else if self.take(".") {
                steps.extend(self.name());
            } else if self.take("[") {
                steps.push(self.bracket()?);
            } else {
                return Ok(steps);
            }
        }
    }

    fn name(&mut self) -> Option<Step> {
        if self.take("*") {
            return Some(Step::All);
        }
        let mut name = String::new();
        let mut chars = self.rest().char_indices();
        let mut length = self.rest().len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => name.extend(chars.next().map(|(_, escaped)| escaped)),
                '.' | '[' | ']' | ')' | '=' | '!' | '<' | '>' | ' ' => {
                    length = at;
                    break;
                }
                c => name.push(c),
            }
        }
        self.at += length;
        (!name.is_empty()).then_some(Step::Field(name))
    }

    fn bracket(&mut self) -> Result<Step, String> {
        if self.take("?(") {
            let step = self.filter()?;
            return self.close(")]", step);
        }
        if self.rest().starts_with(['\'', '"']) {
            let name = self.quoted()?;
            return self.close("]", Step::Field(name));
        }
        let end = self.rest().find(']').ok_or("unterminated array")?;
        let inner = &self.rest()[..end];
        self.at += end + 1;
        if inner.trim() == "*" {
            return Ok(Step::All);
        }
        let number = |text: &str| match text.trim() {
            "" => Ok(None),
            text => text.parse::<i64>().map(Some).map_err(|_| format!("invalid array index {inner}")),
        };
        match inner.split(':').collect::<Vec<_>>()[..] {
            [one] => number(one)?.map(Step::Index).ok_or_else(|| format!("invalid array index {inner}")),
            [from, to] => Ok(Step::Slice { from: number(from)?, to: number(to)?, step: 1 }),
            [from, to, step] => {
                Ok(Step::Slice { from: number(from)?, to: number(to)?, step: number(step)?.unwrap_or(1) })
            }
            _ => Err(format!("invalid array index {inner}")),
        }
    }

    fn close(&mut self, token: &str, step: Step) -> Result<Step, String> {
        self.skip_space();
        if self.take(token) { Ok(step) } else { Err(format!("expected {token:?} at character {}", self.at)) }
    }

    fn filter(&mut self) -> Result<Step, String> {
        let left = self.operand()?;
        self.skip_space();
        let Some(operator) = OPERATORS.into_iter().find(|operator| self.take(operator)) else {
            return Ok(Step::Filter { left, operator: "", right: None });
        };
        let right = Some(self.operand()?);
        Ok(Step::Filter { left, operator, right })
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.skip_space();
        if self.take("@") {
            return Ok(Operand::Path(JsonPath(self.steps()?)));
        }
        if self.rest().starts_with(['\'', '"']) {
            return Ok(Operand::Literal(self.quoted()?.into()));
        }
        let end = self.rest().find([')', ' ', '=', '!', '<', '>']).unwrap_or(self.rest().len());
        let word = &self.rest()[..end];
        self.at += end;
        serde_json::from_str(word)
            .map(Operand::Literal)
            .map_err(|_| format!("unrecognized identifier {word} at character {}", self.at - end))
    }

    fn quoted(&mut self) -> Result<String, String> {
        let quote = self.rest().chars().next().unwrap_or('"');
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                c if c == quote => {
                    self.at += at + c.len_utf8();
                    return Ok(text);
                }
                c => text.push(c),
            }
        }
        Err("unterminated quoted string".into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_lead_to_values() {
        let object = json!({
            "metadata": {"labels": {"a.b/c": "x"}},
            "spec": {"n": 3, "list": [1, 2, 3], "items": [{"image": "a"}, {"image": "b"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True", "n": 1}, {"type": "Old", "n": 2}]},
        });
        let table = [
            (".spec.n", json!([3])),
            (".metadata.labels['a.b/c']", json!(["x"])),
            (r".metadata.labels.a\.b/c", json!(["x"])),
            (".spec.list[0]", json!([1])),
            (".spec.list[-1]", json!([3])),
            (".spec.list[0:2]", json!([1, 2])),
            (".spec.list[*]", json!([1, 2, 3])),
            (".spec.items[*].image", json!(["a", "b"])),
            ("..image", json!(["a", "b"])),
            (r#".status.conditions[?(@.type=="Ready")].status"#, json!(["True"])),
            (r".status.conditions[?(@.type == 'Old')].n", json!([2])),
            (".status.conditions[?(@.n>1)].type", json!(["Old"])),
            (".status.conditions[?(@.status)].type", json!(["Ready"])),
            (".spec.none.below", json!([])),
            (".", json!([object])),
        ];
        for (path, expected) in table {
            let found = JsonPath::parse(path).unwrap();
            assert_eq!(json!(found.find(&object)), expected, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_told() {
        for path in [".a[", ".a[x]", ".a['b", ".a[?(@.b==x)]", ".a]"] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }
}
