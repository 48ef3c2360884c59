//! What a request asks for, before anything is done about it: the path as
//! [`info::RequestInfo`], the query as [`options::Options`], the wanted form of
//! the answer as [`accept::Accept`], and the body as a JSON value.

pub mod accept;
pub mod body;
pub mod duplicates;
pub mod info;
pub mod options;
pub mod yaml;
