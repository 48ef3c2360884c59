//! Clusters that have something on this host, by what bears their names: for whoever knows of none of them.
//!
//! A bridge counts whose alias names the cluster that its own name is made of, and an nft table that names
//! such a bridge: the tables of a node that is a whole machine have names like that, too.

use std::collections::BTreeSet;

use crate::{
    Error,
    netlink::{Link, Netlink},
    nft,
};

use super::{
    forwarding,
    plan::{bridge_name, cluster_of_table, table_name},
};

/// The names of the clusters whose bridge or nft table is there.
pub async fn found() -> Result<BTreeSet<String>, Error> {
    let links = Netlink::open()?.links().await?;
    let mut names: BTreeSet<String> = links.iter().filter_map(of_bridge).collect();
    let tables = match nft::tables().await {
        // Nobody can have made one.
        Err(Error::Missing { .. }) => Vec::new(),
        tables => tables?,
    };
    for name in tables.iter().filter_map(|table| cluster_of_table(table)) {
        if names.contains(name) {
            continue;
        }
        let table = table_name(name);
        // One that went since it was listed is none.
        if nft::run(&["list", "table", "ip", &table], "").await.is_ok_and(|listed| is_of(&listed, name)) {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}

/// The cluster of a bridge.
fn of_bridge(link: &Link) -> Option<String> {
    let name = forwarding::cluster_of(link.alias.as_deref()?)?;
    (bridge_name(name) == link.name).then(|| name.to_owned())
}

/// Whether a table, as nft lists it, is that of the host for this cluster.
fn is_of(table: &str, name: &str) -> bool {
    table.contains(&format!("\"{}\"", bridge_name(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_is_that_of_the_cluster_that_its_alias_names() {
        let link = |name: &str, alias: Option<String>| Link {
            index: 1,
            name: name.to_owned(),
            alias,
            mtu: 1500,
            up: true,
        };
        let alias = |name: &str| Some(forwarding::alias(name, true));
        let table = [
            (link(&bridge_name("demo-2"), alias("demo-2")), Some("demo-2")),
            (link(&bridge_name("demo-2"), alias("demo")), None),
            (link(&bridge_name("demo"), None), None),
            (link("docker0", alias("demo")), None),
            (link(&format!("{}-0", bridge_name("demo")), alias("demo")), None),
        ];
        for (link, expected) in table {
            assert_eq!(of_bridge(&link).as_deref(), expected, "{link:?}");
        }
    }

    #[test]
    fn a_table_of_a_node_is_none_of_a_cluster() {
        assert_eq!(cluster_of_table("ip tiphys-demo-2"), Some("demo-2"));
        for other in ["ip nat", "ip6 tiphys-demo", "inet tiphys-demo", "ip tiphys-"] {
            assert_eq!(cluster_of_table(other), None, "{other}");
        }
        let of_demo = format!("oifname != \"{}\" masquerade", bridge_name("demo"));
        assert!(is_of(&of_demo, "demo") && !is_of(&of_demo, "node") && !is_of("masquerade", "node"));
    }
}
