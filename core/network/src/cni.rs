//! The configuration of the CNI plug-ins: where Pods get their interface from.
//!
//! A bridge a node, addresses from the node's Pod CIDR by host-local, host ports by
//! portmap. The loopback interface is the container runtime's own work. A user who installs another CNI plug-in replaces it: when its
//! configuration is there, ours is not written.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use ipnet::Ipv4Net;
use serde_json::{Value, json};

use crate::Error;

/// Where containerd looks for CNI configurations.
pub const CNI_FOLDER: &str = "/etc/cni/net.d";
/// The bridge that a node's Pods are on.
pub const POD_BRIDGE: &str = "cni0";

const FILE: &str = "10-tiphys.conflist";

/// What [`write_cni`] found or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cni {
    /// Our configuration is in place.
    Written,
    /// Another one is there already, in this file; nothing was written.
    Foreign(PathBuf),
}

/// Puts the configuration for `pod_cidr` into `folder`, at once or not at all.
/// `mtu` is that of the node's uplink, in bytes.
pub fn write_cni(folder: &Path, pod_cidr: Ipv4Net, mtu: u32) -> Result<Cni, Error> {
    let action = |verb: &str| format!("{verb} the CNI configuration in {}", folder.display());
    fs::create_dir_all(folder).map_err(Error::io(action("write")))?;
    if let Some(foreign) = foreign(folder).map_err(Error::io(action("look for")))? {
        return Ok(Cni::Foreign(foreign));
    }
    let text = format!("{:#}\n", configuration(pod_cidr, mtu));
    let path = folder.join(FILE);
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(Cni::Written);
    }
    // containerd reads every *.conflist it sees: the name must not match before
    // the content is whole.
    let draft = folder.join(format!(".{FILE}.new"));
    fs::write(&draft, text).and_then(|()| fs::rename(&draft, &path)).map_err(Error::io(action("write")))?;
    Ok(Cni::Written)
}

fn foreign(folder: &Path) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let counts =
            path.extension().is_some_and(|kind| kind == "conf" || kind == "conflist" || kind == "json");
        if counts && path.file_name().is_some_and(|name| name != FILE) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn configuration(pod_cidr: Ipv4Net, mtu: u32) -> Value {
    json!({
        "cniVersion": "0.4.0",
        "name": "tiphys",
        "plugins": [
            {
                "type": "bridge",
                "bridge": POD_BRIDGE,
                "mtu": mtu,
                "isGateway": true,
                // A Pod may reach itself through its Service.
                "hairpinMode": true,
                // What leaves the cluster is masqueraded by the node's own rules.
                "ipMasq": false,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": pod_cidr.trunc().to_string() }]],
                    "routes": [{ "dst": "0.0.0.0/0" }]
                }
            },
            { "type": "portmap", "capabilities": { "portMappings": true } }
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_its_own_and_leaves_a_foreign_one_alone() {
        let folder = tempfile::tempdir().unwrap();
        let cidr: Ipv4Net = "10.128.2.0/24".parse().unwrap();
        assert_eq!(write_cni(folder.path(), cidr, 1400).unwrap(), Cni::Written);
        assert_eq!(write_cni(folder.path(), cidr, 1400).unwrap(), Cni::Written);
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        let written: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(written["plugins"][0]["ipam"]["ranges"][0][0]["subnet"], "10.128.2.0/24");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");

        let theirs = folder.path().join("05-theirs.conflist");
        fs::write(&theirs, "{}").unwrap();
        assert_eq!(write_cni(folder.path(), cidr, 1400).unwrap(), Cni::Foreign(theirs));
    }
}
