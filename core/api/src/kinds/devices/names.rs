//! The forms of names of drivers' things: `gpu.example.com/model`, `pool/a`.

use crate::{
    field::FieldError,
    validate::{Errors, driver_name, names, obey},
};

const LONGEST_ID: usize = 32;
const LONGEST_POOL: usize = 253;

/// A label, which must be there.
pub fn label(name: &str, path: &str, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        obey(names::dns_label, name, path, errors);
    }
}

/// The name of a pool: subdomains with slashes between them.
pub fn pool(name: &str, path: &str, errors: &mut Errors) {
    if name.is_empty() {
        return errors.push(FieldError::required(path, ""));
    }
    if name.len() > LONGEST_POOL {
        errors.push(FieldError::too_long(path, LONGEST_POOL));
    }
    name.split('/').for_each(|part| obey(names::dns_subdomain, part, path, errors));
}

/// The name of an attribute or capacity: an identifier, with the driver's domain before it or without.
pub fn qualified(name: &str, path: &str, errors: &mut Errors) {
    let parts: Vec<&str> = name.split('/').collect();
    match parts.as_slice() {
        [id] => identifier(id, path, errors),
        [domain, id] => {
            match *domain {
                "" => errors.push(FieldError::invalid(path, &"".into(), "the domain must not be empty")),
                domain => driver_name(domain, path, errors),
            }
            match *id {
                "" => errors.push(FieldError::invalid(path, &"".into(), "the name must not be empty")),
                id => identifier(id, path, errors),
            }
        }
        _ => errors.push(FieldError::invalid(path, &name.into(), "must not contain more than one slash")),
    }
}

/// As [`qualified`], with the domain.
pub fn fully_qualified(name: &str, path: &str, errors: &mut Errors) {
    qualified(name, path, errors);
    if !name.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        errors.push(FieldError::invalid(path, &name.into(), detail));
    }
}

fn identifier(id: &str, path: &str, errors: &mut Errors) {
    if id.len() > LONGEST_ID {
        errors.push(FieldError::too_long(path, LONGEST_ID));
    }
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if !id.starts_with(first) || !id.chars().all(inner) {
        let detail = "a valid C identifier must start with alphabetic character or '_', followed by a string of \
                      alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for \
                      validation is '[A-Za-z_][A-Za-z0-9_]*')";
        errors.push(FieldError::invalid(path, &id.into(), detail));
    }
}

/// A uid in the one form that the server itself writes.
pub fn uid(uid: &str, path: &str, errors: &mut Errors) {
    let groups: Vec<&str> = uid.split('-').collect();
    let sizes = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]);
    let hex = |c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase();
    if !sizes || !groups.iter().all(|group| group.chars().all(hex)) {
        let detail = "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with \
                      lowercase hexadecimal characters";
        errors.push(FieldError::invalid(path, &uid.into(), detail));
    }
}
