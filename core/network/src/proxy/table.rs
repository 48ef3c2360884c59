//! The nft table `tiphys-proxy` as text: whole, or the difference a change makes.
//! Pure; whoever applies the text keeps [`Table`] and the kernel in step.
//!
//! A packet costs one look-up in each shared map, whatever the number of Services.
//! A change names only the chains and elements that differ, in one transaction.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use ipnet::Ipv4Net;
use tiphys_api::slices::ServiceKey;

use super::{
    ProxyConfig,
    fragment::{Fragment, Map},
    model::{ServicePort, Target},
};

/// The table's name, family ip.
pub(crate) const TABLE: &str = "tiphys-proxy";
/// The mark of packets to masquerade; the bit that kube-proxy uses, so that other
/// parts of a node know to leave it alone.
const MARK: &str = "0x4000";

/// What the kernel's table holds, by Service.
pub(crate) struct Table {
    pods: Ipv4Net,
    /// The table without any Service.
    base: String,
    services: BTreeMap<ServiceKey, Vec<ServicePort>>,
    /// Who wants which verdict for a key. Two Services may claim one external
    /// address; the first by name has it.
    claims: BTreeMap<(Map, String), BTreeMap<ServiceKey, String>>,
}

/// New ports by Service; none for a Service that is gone.
pub(crate) type Changes = BTreeMap<ServiceKey, Vec<ServicePort>>;

impl Table {
    /// A table without Services.
    pub(crate) fn new(config: &ProxyConfig) -> Self {
        let (services, claims) = (BTreeMap::new(), BTreeMap::new());
        Self { pods: config.pod_range, base: base(config), services, claims }
    }

    /// The ports of a Service as they are now.
    pub(crate) fn ports(&self, service: &ServiceKey) -> &[ServicePort] {
        self.services.get(service).map_or(&[], Vec::as_slice)
    }

    /// The Services that have ports.
    pub(crate) fn services(&self) -> impl Iterator<Item = ServiceKey> {
        self.services.keys().cloned()
    }

    /// Number of Services, of their distinct endpoints' uses, and of elements in the maps.
    pub(crate) fn size(&self) -> (usize, usize, usize) {
        let ports = self.services.values().flatten();
        (self.services.len(), ports.map(|port| port.used_endpoints().len()).sum(), self.claims.len())
    }

    /// Number of ports whose traffic is dropped here, since its policy is Local and all endpoints are
    /// on other nodes: of what comes to ClusterIPs, and of what comes from outside.
    pub(crate) fn without_local_endpoints(&self) -> (usize, usize) {
        let ports = || self.services.values().flatten();
        let internal = ports().filter(|port| port.internal_target() == Target::Dropped).count();
        let external = ports().filter(|port| port.is_external() && port.external_target() == Target::Dropped);
        (internal, external.count())
    }

    /// Takes `changes` over, and gives the transaction that brings the kernel along;
    /// `None` when nothing differs.
    pub(crate) fn update(&mut self, changes: Changes) -> Option<String> {
        let mut difference = Difference::default();
        for (service, ports) in changes {
            let before = Fragment::of(self.ports(&service), &self.pods);
            let after = Fragment::of(&ports, &self.pods);
            difference.chains_and_sets(&before, &after);
            self.claim(&service, &before, &after, &mut difference);
            if ports.is_empty() {
                self.services.remove(&service);
            } else {
                self.services.insert(service, ports);
            }
        }
        difference.into_text()
    }

    /// The transaction that makes the whole table anew.
    pub(crate) fn whole(&self) -> String {
        let mut difference = Difference::default();
        for ports in self.services.values() {
            difference.chains_and_sets(&Fragment::default(), &Fragment::of(ports, &self.pods));
        }
        for (key, claims) in &self.claims {
            difference.element(key, None, claims.values().next());
        }
        format!("{}{}", self.base, difference.into_text().unwrap_or_default())
    }

    fn claim(
        &mut self,
        service: &ServiceKey,
        before: &Fragment,
        after: &Fragment,
        difference: &mut Difference,
    ) {
        let keys: BTreeSet<_> = before.elements.keys().chain(after.elements.keys()).collect();
        for key in keys {
            let claims = self.claims.entry(key.clone()).or_default();
            let had = claims.values().next().cloned();
            match after.elements.get(key) {
                Some(verdict) => claims.insert(service.clone(), verdict.clone()),
                None => claims.remove(service),
            };
            difference.element(key, had.as_ref(), claims.values().next());
            if claims.is_empty() {
                self.claims.remove(key);
            }
        }
    }
}

/// Commands by the order in which nft must see them: what is referred to comes
/// before the reference, and goes after it.
#[derive(Default)]
struct Difference {
    declare: String,
    fill: String,
    remove_elements: BTreeMap<Map, BTreeSet<String>>,
    add_elements: BTreeMap<Map, BTreeSet<String>>,
    flush: String,
    delete_chains: String,
    delete_sets: String,
}

impl Difference {
    fn chains_and_sets(&mut self, before: &Fragment, after: &Fragment) {
        for (set, declaration) in after.sets.iter().filter(|(set, _)| !before.sets.contains_key(*set)) {
            line(&mut self.declare, format_args!("add set ip {TABLE} {set} {{ {declaration} }}"));
        }
        for set in before.sets.keys().filter(|set| !after.sets.contains_key(*set)) {
            line(&mut self.delete_sets, format_args!("delete set ip {TABLE} {set}"));
        }
        for (chain, rules) in &after.chains {
            match before.chains.get(chain) {
                Some(known) if known == rules => continue,
                Some(_) => line(&mut self.fill, format_args!("flush chain ip {TABLE} {chain}")),
                None => line(&mut self.declare, format_args!("add chain ip {TABLE} {chain}")),
            }
            for rule in rules {
                line(&mut self.fill, format_args!("add rule ip {TABLE} {chain} {rule}"));
            }
        }
        for chain in before.chains.keys().filter(|chain| !after.chains.contains_key(*chain)) {
            line(&mut self.flush, format_args!("flush chain ip {TABLE} {chain}"));
            line(&mut self.delete_chains, format_args!("delete chain ip {TABLE} {chain}"));
        }
    }

    fn element(&mut self, (map, key): &(Map, String), before: Option<&String>, after: Option<&String>) {
        if before == after {
            return;
        }
        let with =
            |verdict: &String| if verdict.is_empty() { key.clone() } else { format!("{key} : {verdict}") };
        // An element may change more than once in a transaction's Services: the
        // later addition must not be undone by an earlier one's text.
        let (adding, removing) =
            (self.add_elements.entry(*map).or_default(), self.remove_elements.entry(*map).or_default());
        if let Some(old) = before.map(with)
            && !adding.remove(&old)
        {
            removing.insert(old);
        }
        if let Some(new) = after.map(with)
            && !removing.remove(&new)
        {
            adding.insert(new);
        }
    }

    fn into_text(self) -> Option<String> {
        let text = [
            self.declare,
            self.fill,
            elements("delete", &self.remove_elements),
            elements("add", &self.add_elements),
            self.flush,
            self.delete_chains,
            self.delete_sets,
        ]
        .concat();
        (!text.is_empty()).then_some(text)
    }
}

fn elements(verb: &str, by_map: &BTreeMap<Map, BTreeSet<String>>) -> String {
    let mut text = String::new();
    for (map, keys) in by_map.iter().filter(|(_, keys)| !keys.is_empty()) {
        let keys = keys.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        line(&mut text, format_args!("{verb} element ip {TABLE} {} {{ {keys} }}", map.name()));
    }
    text
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a String takes all that is written to it");
}

/// The chains and maps that are there whatever the Services. Refusals are in the
/// filter hooks, since rejecting is not possible where addresses are rewritten.
fn base(config: &ProxyConfig) -> String {
    let (pods, services) = (config.pod_range, config.service_range);
    let own: Vec<String> =
        config.answered_here.iter().map(|address| format!("ip daddr != {address} ")).collect();
    let own = own.concat();
    let mut text = format!("table ip {TABLE} {{}}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n");
    for (map, kind) in [
        (Map::ServiceIps, "map %s { type ipv4_addr . inet_proto . inet_service : verdict; }"),
        (Map::NodePorts, "map %s { type inet_proto . inet_service : verdict; }"),
        (Map::RefusedIps, "map %s { type ipv4_addr . inet_proto . inet_service : verdict; }"),
        (Map::RefusedNodePorts, "map %s { type inet_proto . inet_service : verdict; }"),
        (Map::ClusterIps, "set %s { type ipv4_addr; }"),
        (Map::Hairpins, "set %s { type ipv4_addr . ipv4_addr; }"),
    ] {
        line(&mut text, format_args!("  {}", kind.replace("%s", map.name())));
    }
    text += &format!(
        "  chain mark-masquerade {{
    meta mark set meta mark or {MARK}
  }}
  chain refuse {{
    reject
  }}
  chain services {{
    ip daddr @cluster-ips ip saddr != {pods} jump mark-masquerade
    ip daddr . meta l4proto . th dport vmap @service-ips
    fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @node-ports
  }}
  chain refusals {{
    ip daddr . meta l4proto . th dport vmap @refused-ips
    fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @refused-node-ports
    {own}ip daddr {services} goto refuse
    ip daddr @cluster-ips goto refuse
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    jump services
  }}
"
    );
    for (chain, kind, priority, rule) in [
        ("output", "nat", "-100", "jump services"),
        ("filter-input", "filter", "filter", "ct state new jump refusals"),
        ("filter-forward", "filter", "filter", "ct state new jump refusals"),
        ("filter-output", "filter", "filter", "ct state new jump refusals"),
    ] {
        let hook = chain.trim_start_matches("filter-");
        line(
            &mut text,
            format_args!(
                "  chain {chain} {{\n    type {kind} hook {hook} priority {priority}; policy accept;\n    {rule}\n  }}"
            ),
        );
    }
    text += &format!(
        "  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr . ip daddr @hairpins masquerade fully-random
    meta mark and {MARK} != {MARK} return
    meta mark set meta mark xor {MARK}
    masquerade fully-random
  }}
}}
"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::{
        Mode,
        endpoints::{Endpoint, Endpoints},
        model::Protocol,
    };
    use std::net::Ipv4Addr;

    fn port(name: &str, endpoints: &[u8]) -> ServicePort {
        let all: Vec<_> = endpoints
            .iter()
            .map(|last| Endpoint { address: Ipv4Addr::new(10, 1, 0, *last), port: 80 })
            .collect();
        ServicePort {
            id: format!("shop/{name}/tcp/http"),
            protocol: Protocol::Tcp,
            port: 80,
            cluster_ip: Ipv4Addr::new(10, 96, 0, 7),
            external_ips: Vec::new(),
            load_balancer_ips: Vec::new(),
            source_ranges: Vec::new(),
            node_port: None,
            affinity_seconds: None,
            endpoints: Endpoints { all, local: Vec::new() },
            internal_is_local: false,
            external_is_local: false,
        }
    }

    fn change(name: &str, ports: &[ServicePort]) -> Changes {
        [(ServiceKey::new("shop", name), ports.to_vec())].into()
    }

    fn lines(text: Option<String>) -> Vec<String> {
        let text = text.unwrap_or_default().replace("ip tiphys-proxy ", "");
        text.lines().map(str::to_owned).collect()
    }

    fn table() -> Table {
        Table::new(&ProxyConfig {
            mode: Mode::Nftables,
            node: "here".to_owned(),
            pod_range: "10.1.0.0/16".parse().unwrap(),
            service_range: "10.96.0.0/16".parse().unwrap(),
            answered_here: vec![Ipv4Addr::new(10, 96, 0, 10)],
        })
    }

    #[test]
    fn a_change_names_only_what_differs() {
        let mut table = table();
        assert_eq!(
            lines(table.update(change("web", &[port("web", &[1])]))),
            [
                "add chain svc/shop/web/tcp/http",
                "add rule svc/shop/web/tcp/http meta l4proto tcp dnat to 10.1.0.1:80",
                "add element service-ips { 10.96.0.7 . tcp . 80 : goto svc/shop/web/tcp/http }",
                "add element cluster-ips { 10.96.0.7 }",
            ]
        );
        assert_eq!(table.update(change("web", &[port("web", &[1])])), None);
        assert_eq!(
            lines(table.update(change("web", &[port("web", &[1, 2])]))),
            [
                "flush chain svc/shop/web/tcp/http",
                "add rule svc/shop/web/tcp/http meta l4proto tcp dnat ip addr . port to \
                 numgen random mod 2 map { 0 : 10.1.0.1 . 80, 1 : 10.1.0.2 . 80 }",
            ]
        );
        assert_eq!(
            lines(table.update(change("web", &[port("web", &[])]))),
            [
                "delete element service-ips { 10.96.0.7 . tcp . 80 : goto svc/shop/web/tcp/http }",
                "add element refused-ips { 10.96.0.7 . tcp . 80 : goto refuse }",
                "flush chain svc/shop/web/tcp/http",
                "delete chain svc/shop/web/tcp/http",
            ]
        );
        table.update(change("web", &[]));
        assert_eq!(table.size(), (0, 0, 0));
    }

    #[test]
    fn ports_whose_endpoints_are_all_elsewhere_are_counted_by_policy() {
        let mut table = table();
        let local = |endpoints: &[u8], node_port| ServicePort {
            internal_is_local: true,
            external_is_local: true,
            node_port,
            ..port("web", endpoints)
        };
        table.update(change("cluster", &[port("web", &[1])]));
        assert_eq!(table.without_local_endpoints(), (0, 0));
        table.update(change("inside", &[local(&[1], None)]));
        assert_eq!(table.without_local_endpoints(), (1, 0));
        table.update(change("outside", &[local(&[1], Some(30080))]));
        assert_eq!(table.without_local_endpoints(), (2, 1));
        // Nobody anywhere is another matter.
        table.update(change("outside", &[local(&[], Some(30080))]));
        assert_eq!(table.without_local_endpoints(), (1, 0));
    }

    #[test]
    fn two_services_may_claim_one_address() {
        let mut table = table();
        table.update(change("b", &[port("b", &[1])]));
        let taken_over = lines(table.update(change("a", &[port("a", &[2])])));
        assert!(
            taken_over.iter().any(|line| line.starts_with("delete element") && line.contains("svc/shop/b/"))
        );
        let given_back = lines(table.update(change("a", &[])));
        assert!(
            given_back.iter().any(|line| line.starts_with("add element") && line.contains("svc/shop/b/"))
        );
        assert!(!given_back.iter().any(|line| line.contains("cluster-ips")), "{given_back:?}");
    }
}
