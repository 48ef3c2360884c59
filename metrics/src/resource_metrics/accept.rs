//! In which form an answer is wanted. Pure.

use axum::http::{HeaderMap, header::ACCEPT};

pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    /// Of this version of meta.k8s.io.
    Table(&'static str),
    /// Metadata alone, of this version of meta.k8s.io.
    Metadata(&'static str),
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
    let version = ["v1", "v1beta1"].into_iter().find(|known| group == "meta.k8s.io" && *known == version);
    match (kind, version) {
        ("", _) if is_json => Some(Form::Json),
        ("", _) if media_type == PROTOBUF => Some(Form::Protobuf),
        ("Table", Some(version)) if is_json => Some(Form::Table(version)),
        ("PartialObjectMetadata" | "PartialObjectMetadataList", Some(version)) if is_json => {
            Some(Form::Metadata(version))
        }
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
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Some(Form::Metadata("v1"))),
            ("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1", Some(Form::Metadata("v1"))),
            ("application/json;as=PartialObjectMetadata;g=apps;v=v1", None),
            ("application/json;as=Status;g=meta.k8s.io;v=v1, application/json", Some(Form::Json)),
            ("application/vnd.kubernetes.protobuf, */*", Some(Form::Protobuf)),
            ("application/cbor", None),
            ("text/html, */*;q=0.1", Some(Form::Json)),
            ("text/html", None),
            ("", Some(Form::Json)),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(Form::of(&HeaderMap::new()), Some(Form::Json));
    }
}
