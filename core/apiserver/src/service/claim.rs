//! What one write claims: given back when it is dropped, unless it was kept.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;
use tiphys_api::field::{FieldError, Reason};

use super::{
    addresses::{Addresses, Cidr, Refused},
    ports::NodePorts,
    spec,
    used::Owner,
};

/// All that Services share.
pub struct Pools {
    pub addresses: Addresses,
    pub node_ports: NodePorts,
}

impl Pools {
    pub fn new(cidr: Cidr, ports: std::ops::RangeInclusive<u16>) -> Self {
        Self { addresses: Addresses::new(cidr), node_ports: NodePorts::new(ports) }
    }

    /// Marks what a stored Service holds, and nothing else as its own. What two hold is named in the log.
    pub fn show(&self, service: &Value) {
        let owner = owner(service);
        let (name, address) = (service["metadata"]["name"].as_str().unwrap_or_default(), held(service));
        if !self.addresses.show(&owner, address) {
            tracing::warn!(service = name, ?address, "cluster address is not the service's alone");
        }
        let ports = self.node_ports.used.show(&owner, &spec::node_ports(service));
        if !ports.is_empty() {
            tracing::warn!(service = name, ?ports, "node ports are not the service's alone");
        }
    }

    /// A Service is gone: all it held is free.
    pub fn gone(&self, service: &Value) {
        let owner = owner(service);
        self.addresses.show(&owner, None);
        self.node_ports.used.show(&owner, &[]);
    }

    /// Gives back what `old` holds and `new` doesn't.
    pub fn release_difference(&self, old: &Value, new: Option<&Value>) {
        let owner = owner(old);
        let kept = new.and_then(held);
        if let Some(address) = held(old).filter(|address| kept != Some(*address)) {
            self.addresses.release(address, &owner);
        }
        let kept = new.map(spec::node_ports).unwrap_or_default();
        for port in spec::node_ports(old).into_iter().filter(|port| !kept.contains(port)) {
            self.node_ports.used.release(port, &owner);
        }
    }
}

/// Who holds: the Service by its UID.
fn owner(service: &Value) -> Owner {
    service["metadata"]["uid"].as_str().unwrap_or_default().into()
}

fn held(service: &Value) -> Option<IpAddr> {
    spec::address(service)?.parse().ok()
}

/// What a write has claimed so far.
pub struct Claim<'a> {
    pools: &'a Pools,
    owner: Owner,
    address: Option<IpAddr>,
    ports: Vec<u16>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(address) = self.address {
            self.pools.addresses.release(address, &self.owner);
        }
        for port in &self.ports {
            self.pools.node_ports.used.release(*port, &self.owner);
        }
    }
}

impl<'a> Claim<'a> {
    pub fn none(pools: &'a Pools) -> Self {
        Self { pools, owner: Owner::default(), address: None, ports: Vec::new() }
    }

    /// Claims for `new` what `old` doesn't hold already.
    pub fn of(pools: &'a Pools, new: &mut Value, old: Option<&Value>) -> Result<Self, FieldError> {
        let mut claim = Self { pools, owner: owner(new), address: None, ports: Vec::new() };
        claim.address(new, old)?;
        claim.node_ports(new, old)?;
        claim.check_port(new, old)?;
        Ok(claim)
    }

    /// The write is done: nothing is given back.
    pub fn keep(mut self) {
        if let Some(address) = self.address.take() {
            self.pools.addresses.settle(address, &self.owner);
        }
        for port in self.ports.drain(..) {
            self.pools.node_ports.used.settle(port, &self.owner);
        }
    }

    fn address(&mut self, new: &mut Value, old: Option<&Value>) -> Result<(), FieldError> {
        if !spec::has_address(new) {
            return Ok(());
        }
        match new["spec"]["clusterIP"].as_str().unwrap_or_default().to_owned() {
            none if none == "None" => spec::set_address(new, "None"),
            empty if empty.is_empty() => {
                let given: Ipv4Addr = self.pools.addresses.allocate(&self.owner).map_err(|_| no_address())?;
                self.address = Some(given.into());
                spec::set_address(new, &given.to_string());
            }
            wanted if old.and_then(spec::address) == Some(&wanted) => {}
            wanted => {
                let ip: IpAddr = wanted.parse().map_err(|_| {
                    bad_address(&wanted, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")
                })?;
                self.pools.addresses.claim(ip, &self.owner).map_err(|why| refused_address(&wanted, why))?;
                self.address = Some(ip);
                spec::set_address(new, &wanted);
            }
        }
        Ok(())
    }

    fn node_ports(&mut self, new: &mut Value, old: Option<&Value>) -> Result<(), FieldError> {
        if !spec::has_node_ports(new) {
            return Ok(());
        }
        let held = old.map(spec::node_ports).unwrap_or_default();
        // Wishes first, so that no port without one takes a wished number.
        for (n, wanted) in wishes(new) {
            if held.contains(&wanted) || self.ports.contains(&wanted) {
                continue;
            }
            self.pools
                .node_ports
                .claim(wanted, &self.owner)
                .map_err(|why| self.refused_port(n, wanted, why))?;
            self.ports.push(wanted);
        }
        for port in new.pointer_mut("/spec/ports").and_then(Value::as_array_mut).into_iter().flatten() {
            if spec::node_port(port).is_none() {
                let given = self.pools.node_ports.allocate(&self.owner).map_err(|_| no_port())?;
                self.ports.push(given);
                port["nodePort"] = given.into();
            }
        }
        Ok(())
    }

    fn check_port(&mut self, new: &mut Value, old: Option<&Value>) -> Result<(), FieldError> {
        if !spec::has_check_port(new) {
            return Ok(());
        }
        let Some(wanted) = spec::check_port(new) else {
            let given = self.pools.node_ports.allocate(&self.owner).map_err(|_| no_port())?;
            self.ports.push(given);
            new["spec"]["healthCheckNodePort"] = given.into();
            return Ok(());
        };
        let held = old.map(spec::node_ports).unwrap_or_default();
        if !held.contains(&wanted) {
            let refused = |why| self.refused("spec.healthCheckNodePort".into(), wanted, why);
            self.pools.node_ports.claim(wanted, &self.owner).map_err(refused)?;
            self.ports.push(wanted);
        }
        Ok(())
    }

    fn refused_port(&self, n: usize, port: u16, why: Refused) -> FieldError {
        self.refused(format!("spec.ports[{n}].nodePort"), port, why)
    }

    fn refused(&self, field: String, port: u16, why: Refused) -> FieldError {
        let range = self.pools.node_ports.range();
        let why = match why {
            Refused::OutOfRange => {
                format!(
                    "provided port is not in the valid range. The range of valid ports is {}-{}",
                    range.start(),
                    range.end()
                )
            }
            _ => "provided port is already allocated".into(),
        };
        FieldError { reason: Reason::Invalid, field, message: format!("Invalid value: {port}: {why}") }
    }
}

fn wishes(service: &Value) -> Vec<(usize, u16)> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten().enumerate();
    ports.filter_map(|(n, port)| Some((n, spec::node_port(port)?))).collect()
}

fn refused_address(address: &str, why: Refused) -> FieldError {
    match why {
        Refused::OutOfRange => {
            bad_address(address, "provided IP is not in the valid range of service addresses")
        }
        _ => bad_address(address, "provided IP is already allocated"),
    }
}

fn bad_address(address: &str, why: &str) -> FieldError {
    FieldError {
        reason: Reason::Invalid,
        field: "spec.clusterIPs".into(),
        message: format!("Invalid value: [\"{address}\"]: failed to allocate IP {address}: {why}"),
    }
}

fn no_address() -> FieldError {
    FieldError {
        reason: Reason::Invalid,
        field: "spec.clusterIPs".into(),
        message: "Invalid value: []: failed to allocate a serviceIP: range is full".into(),
    }
}

fn no_port() -> FieldError {
    FieldError {
        reason: Reason::Invalid,
        field: "spec.ports".into(),
        message: "Invalid value: []: failed to allocate a nodePort: range is full".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pools() -> Pools {
        Pools::new("10.96.0.0/16".parse().expect("a range"), 30000..=32767)
    }

    #[test]
    fn a_write_that_fails_gives_back() {
        let pools = pools();
        let wish = json!({"spec": {"type": "NodePort", "clusterIP": "10.96.0.9", "ports": [{"port": 1, "nodePort": 30001}]}});
        drop(Claim::of(&pools, &mut wish.clone(), None).expect("free"));
        Claim::of(&pools, &mut wish.clone(), None).expect("free again").keep();
        let mut other = wish.clone();
        other["metadata"] = json!({"uid": "other"});
        let taken = Claim::of(&pools, &mut other.clone(), None).err().expect("taken");
        assert_eq!(taken.field, "spec.clusterIPs");
        pools.release_difference(&wish, None);
        assert!(Claim::of(&pools, &mut other, None).is_ok());
    }

    #[test]
    fn what_the_old_service_holds_is_not_claimed_again() {
        let pools = pools();
        let mut old = json!({"spec": {"type": "NodePort", "ports": [{"port": 1}]}});
        Claim::of(&pools, &mut old, None).expect("free").keep();
        assert!(Claim::of(&pools, &mut old.clone(), Some(&old)).is_ok());
    }

    #[test]
    fn headless_and_external_services_take_no_address() {
        let pools = pools();
        let mut headless = json!({"spec": {"clusterIP": "None"}});
        Claim::of(&pools, &mut headless, None).expect("nothing claimed").keep();
        assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
        let mut external = json!({"spec": {"type": "ExternalName", "externalName": "a.b"}});
        Claim::of(&pools, &mut external, None).expect("nothing claimed").keep();
        assert_eq!(external["spec"].get("clusterIP"), None);
    }
}
