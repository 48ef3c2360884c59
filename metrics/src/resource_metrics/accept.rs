//! In which form an answer is wanted. Pure.

use axum::http::{HeaderMap, header::ACCEPT};

pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    /// Of this version of meta.k8s.io.
    Table(&'static str),
    Protobuf,
}

impl Form {
    /// The first of the header's that there is; absent where there is none of them.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let wanted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut wanted = wanted.split(',').map(str::trim).filter(|one| !one.is_empty()).peekable();
        if wanted.peek().is_none() {
            return Some(Self::Json);
        }
        wanted.find_map(form)
    }
}

fn form(text: &str) -> Option<Form> {
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    let (mut kind, mut group, mut version) = ("", "", "");
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        match key {
            "as" => kind = value,
            "g" => group = value,
            "v" => version = value,
            _ => {}
        }
    }
    let is_json = ["application/json", "application/*", "*/*"].contains(&media_type);
    match (kind, group, version) {
        ("", ..) if is_json => Some(Form::Json),
        ("", ..) if media_type == PROTOBUF => Some(Form::Protobuf),
        ("Table", "meta.k8s.io", "v1") if is_json => Some(Form::Table("v1")),
        ("Table", "meta.k8s.io", "v1beta1") if is_json => Some(Form::Table("v1beta1")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_there_is_is_taken() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, text.parse().expect("a value"));
            Form::of(&headers)
        };
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,\
                       application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        for (text, expected) in [
            (kubectl, Some(Form::Table("v1"))),
            ("application/json;as=Table;v=v1beta1;g=meta.k8s.io", Some(Form::Table("v1beta1"))),
            ("application/json;as=Table;v=v9;g=meta.k8s.io,application/json", Some(Form::Json)),
            ("application/vnd.kubernetes.protobuf, */*", Some(Form::Protobuf)),
            ("text/html, */*;q=0.1", Some(Form::Json)),
            ("text/html", None),
            ("", Some(Form::Json)),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(Form::of(&HeaderMap::new()), Some(Form::Json));
    }
}
