//! ServiceAccount: who the processes of a Pod are to the API.

use crate::{
    access::list,
    kind::{Column, Kind, Subresource},
    table::{AGE, NAME},
};

pub static KIND: Kind = Kind {
    short_names: &["sa"],
    subresources: &[Subresource::Named("token")],
    columns: &[NAME, Column::number("Secrets", |account, _| list(account, "/secrets").len().into()), AGE],
    ..Kind::namespaced(
        "",
        "v1",
        "ServiceAccount",
        "serviceaccounts",
        "serviceaccount",
        "io.k8s.api.core.v1.ServiceAccount",
    )
};
