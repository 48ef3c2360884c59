//! Field selectors of metrics: by name and namespace, as metrics-server has them. Pure.

const NAME: &str = "metadata.name";
const NAMESPACE: &str = "metadata.namespace";

/// Conditions, all of which must hold.
#[derive(Debug, Default, PartialEq)]
pub struct Fields(Vec<Condition>);

#[derive(Debug, PartialEq)]
struct Condition {
    field: &'static str,
    is_equal: bool,
    value: String,
}

impl Fields {
    /// # Errors
    /// It is no selector, or of another field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let terms = text.split(',').filter(|term| !term.is_empty());
        terms.map(condition).collect::<Result<_, _>>().map(Self)
    }

    /// One object.
    pub fn named(namespace: &str, name: &str) -> Self {
        let equal = |field, value: &str| Condition { field, is_equal: true, value: value.to_owned() };
        Self(vec![equal(NAMESPACE, namespace), equal(NAME, name)])
    }

    pub fn match_node(&self, name: &str) -> bool {
        self.match_pod("", name)
    }

    pub fn match_pod(&self, namespace: &str, name: &str) -> bool {
        self.0.iter().all(|Condition { field, is_equal, value }| {
            let found = if *field == NAME { name } else { namespace };
            (found == value) == *is_equal
        })
    }
}

fn condition(term: &str) -> Result<Condition, String> {
    let wrong = || format!("invalid selector: '{term}'; can't understand '{term}'");
    let (field, operator, value) = match term.split_once("!=") {
        Some((field, value)) => (field, false, value),
        None => {
            let (field, value) = term.split_once('=').ok_or_else(wrong)?;
            (field, true, value.strip_prefix('=').unwrap_or(value))
        }
    };
    let field = [NAME, NAMESPACE].into_iter().find(|known| *known == field).ok_or_else(|| {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    })?;
    Ok(Condition { field, is_equal: operator, value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_namespaces_are_chosen_by() {
        for (text, namespace, name, expected) in [
            ("", "shop", "web", true),
            ("metadata.name=web", "shop", "web", true),
            ("metadata.name==web", "shop", "api", false),
            ("metadata.name!=web", "shop", "api", true),
            ("metadata.name=web,metadata.namespace=bank", "shop", "web", false),
            ("metadata.name=", "shop", "web", false),
        ] {
            let fields = Fields::parse(text).expect("a selector");
            assert_eq!(fields.match_pod(namespace, name), expected, "{text}");
        }
        let node = Fields::parse("metadata.name=n1").expect("a selector");
        assert!(node.match_node("n1") && !node.match_node("n2"));
        let error = Fields::parse("spec.nodeName=n1").expect_err("unknown");
        assert!(error.starts_with("\"spec.nodeName\" is not a known field selector"), "{error}");
        assert!(Fields::parse("web").is_err());
    }
}
