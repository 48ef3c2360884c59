//! Where an archive is, as its user says it.

use std::{collections::HashMap, str::FromStr};

use url::Url;

use super::{Objects, ObjectsError};

/// Environment variables that say how a store is reached begin so.
const ENVIRONMENT: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Where something is archived: `s3://bucket/prefix`, `gs://...`, `az://...`, `file:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(Url);

/// The text names no place.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no place for an archive: {1}; use s3://BUCKET/PREFIX, gs://..., az://..., file:///PATH or none"
)]
pub struct BadLocation(String, String);

impl FromStr for Location {
    type Err = BadLocation;

    fn from_str(text: &str) -> Result<Self, BadLocation> {
        let bad = |why: &str| BadLocation(text.to_owned(), why.to_owned());
        let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        match url.scheme() {
            "s3" | "s3a" | "gs" | "az" | "adl" | "azure" | "abfs" | "abfss" if url.has_host() => {
                Ok(Self(url))
            }
            "file" if !url.has_host() => Ok(Self(url)),
            "file" => Err(bad("a file has three slashes")),
            _ => Err(bad("the begin is not known")),
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl Location {
    /// A folder of this machine; the path must be absolute.
    pub fn folder(path: &std::path::Path) -> Option<Self> {
        Url::from_file_path(path).ok().map(Self)
    }

    /// Opens it, with the credentials that the environment has; a folder is made.
    ///
    /// # Errors
    /// The folder can't be made, or the environment says no way to the store.
    pub fn open(&self) -> Result<Objects, ObjectsError> {
        let known = |name: &str| ENVIRONMENT.iter().any(|begin| name.starts_with(begin));
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| known(name));
        self.open_with(environment)
    }

    /// The same with these variables for those of the environment.
    ///
    /// # Errors
    /// The folder can't be made, or they say no way to the store.
    pub fn open_with(
        &self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Objects, ObjectsError> {
        if self.0.scheme() == "file" {
            let path = self.0.to_file_path().map_err(|()| ObjectsError::Place(self.0.to_string()))?;
            return Objects::in_folder(path);
        }
        let environment: HashMap<String, String> = environment.into_iter().collect();
        let (store, place) = object_store::parse_url_opts(&self.0, environment)?;
        Ok(Objects::at(store.into(), place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for good in ["s3://logs/prod", "gs://logs", "az://logs/a/b", "file:///var/lib/archive"] {
            assert_eq!(good.parse::<Location>().expect(good).to_string(), good);
        }
        for bad in ["", "logs", "s3://", "file://host/path", "http://x/y", "none"] {
            assert!(bad.parse::<Location>().is_err(), "{bad}");
        }
    }
}
