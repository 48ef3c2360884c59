//! Links, addresses and routes by netlink: the only place that talks rtnetlink.
//!
//! A [`Netlink`] is bound to one network namespace, the one its socket was made
//! in. Repeating an act that was done already is no error; taking away what is
//! not there is none either.

use std::net::{IpAddr, Ipv4Addr};

use futures::TryStreamExt;
use ipnet::Ipv4Net;
use nix::libc::{EADDRNOTAVAIL, EEXIST, ENODEV, ENOENT, ESRCH};
use rtnetlink::{
    Handle, LinkBridge, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder,
    packet_route::{
        address::{AddressAttribute, AddressMessage},
        link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkMessage},
        route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteType},
    },
};
use tokio::task::JoinSet;

use crate::{
    error::{Error, accept},
    topology::Namespaces,
};

/// Marks the routes that Tiphys owns (the numbers 188 to 254 are free for any routing program).
const OUR_PROTOCOL: u8 = 210;

/// For a machine without a default route.
const USUAL_MTU: u32 = 1500;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub alias: Option<String>,
    /// In bytes.
    pub mtu: u32,
    pub up: bool,
}

/// An IPv4 unicast route of the main table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub destination: Ipv4Net,
    pub gateway: Option<Ipv4Addr>,
    /// Index of the link packets leave by.
    pub link: Option<u32>,
    /// Made by Tiphys.
    pub ours: bool,
}

/// A netlink connection to one network namespace. Dropping it closes the socket.
pub struct Netlink {
    handle: Handle,
    _driver: JoinSet<()>,
}

impl Netlink {
    /// A connection to the calling thread's network namespace. Needs a tokio runtime.
    pub fn open() -> Result<Self, Error> {
        let (connection, handle, _) =
            rtnetlink::new_connection().map_err(Error::io("open a netlink socket"))?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Self { handle, _driver: driver })
    }

    /// A connection to another network namespace; the calling thread stays in its own.
    pub fn open_in(namespaces: &Namespaces) -> Result<Self, Error> {
        let runtime = tokio::runtime::Handle::current();
        // A socket belongs to the namespace of the thread that makes it, so a
        // thread goes there for that moment and ends.
        std::thread::scope(|scope| {
            let opener = scope.spawn(|| {
                namespaces.enter_network().map_err(Error::io("enter a network namespace"))?;
                let _runtime = runtime.enter();
                Self::open()
            });
            opener.join().expect("opening a socket does not panic")
        })
    }

    /// All links of the namespace.
    pub async fn links(&self) -> Result<Vec<Link>, Error> {
        let links = self.handle.link().get().execute().map_ok(link_of).try_collect().await;
        links.map_err(Error::netlink("list the links"))
    }

    /// The link of this name, if there is one.
    pub async fn link(&self, name: &str) -> Result<Option<Link>, Error> {
        let found = self.handle.link().get().match_name(name).execute().map_ok(link_of).try_next().await;
        match found.map_err(Error::netlink(format!("look up the link {name}"))) {
            Err(error) if error.errno() == Some(ENODEV) => Ok(None),
            other => other,
        }
    }

    /// All IPv4 addresses, with the index of their link.
    pub async fn addresses(&self) -> Result<Vec<(u32, Ipv4Net)>, Error> {
        let messages: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(Error::netlink("list the addresses"))?;
        Ok(messages.iter().filter_map(address_of).collect())
    }

    /// The unicast IPv4 routes of the main table.
    pub async fn routes(&self) -> Result<Vec<Route>, Error> {
        let wanted = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let messages: Vec<RouteMessage> = self
            .handle
            .route()
            .get(wanted)
            .execute()
            .try_collect()
            .await
            .map_err(Error::netlink("list the routes"))?;
        Ok(messages.iter().filter_map(route_of).collect())
    }

    /// The MTU of the link that the default route leaves by, in bytes: what is sent
    /// on through it then needs no fragments.
    pub async fn uplink_mtu(&self) -> Result<u32, Error> {
        let routes = self.routes().await?;
        let uplink =
            routes.iter().find(|route| route.destination.prefix_len() == 0).and_then(|route| route.link);
        let links = self.links().await?;
        let mtu = links.iter().find(|link| Some(link.index) == uplink).map(|link| link.mtu);
        Ok(mtu.unwrap_or(USUAL_MTU))
    }

    /// Makes a bridge and brings it up.
    pub async fn add_bridge(&self, name: &str, mtu: u32) -> Result<(), Error> {
        let message = LinkBridge::new(name).mtu(mtu).build();
        self.add_link(message, format!("make the bridge {name}")).await
    }

    /// Makes a veth pair whose other end, `inner`, is in the network namespace of process `pid`.
    pub async fn add_veth(&self, name: &str, inner: &str, pid: u32, mtu: u32) -> Result<(), Error> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new().name(inner).mtu(mtu).setns_by_pid(pid).build();
        let message =
            LinkVeth::new(name, inner).mtu(mtu).set_info_data(InfoData::Veth(InfoVeth::Peer(peer))).build();
        self.add_link(message, format!("make the veth pair {name}")).await
    }

    /// Makes `port` a port of `bridge` and brings it up.
    pub async fn attach(&self, port: &str, bridge: &str) -> Result<(), Error> {
        let port_index = self.index(port).await?;
        let bridge_index = self.index(bridge).await?;
        let message = LinkUnspec::new_with_index(port_index).controller(bridge_index).up().build();
        self.change_link(message, format!("attach {port} to {bridge}")).await
    }

    /// Brings a link up.
    pub async fn up(&self, name: &str) -> Result<(), Error> {
        let index = self.index(name).await?;
        self.change_link(LinkUnspec::new_with_index(index).up().build(), format!("bring {name} up")).await
    }

    /// Sets the text that `ip link` shows as the link's alias.
    pub async fn set_alias(&self, name: &str, alias: &str) -> Result<(), Error> {
        let index = self.index(name).await?;
        let message = LinkUnspec::new_with_index(index).alias(alias).build();
        self.change_link(message, format!("set the alias of {name}")).await
    }

    /// Takes a link away, with its routes, its addresses and the other end of a veth pair.
    pub async fn delete_link(&self, name: &str) -> Result<(), Error> {
        let Some(link) = self.link(name).await? else { return Ok(()) };
        let deleted = self.handle.link().del(link.index).execute().await;
        accept(deleted.map_err(Error::netlink(format!("delete the link {name}"))), &[ENODEV])
    }

    /// Gives a link an address.
    pub async fn add_address(&self, name: &str, address: Ipv4Net) -> Result<(), Error> {
        let index = self.index(name).await?;
        let add = self.handle.address().add(index, IpAddr::V4(address.addr()), address.prefix_len());
        let action = format!("give {name} the address {address}");
        accept(add.execute().await.map_err(Error::netlink(action)), &[EEXIST])
    }

    /// Takes an address from a link.
    pub async fn delete_address(&self, name: &str, address: Ipv4Net) -> Result<(), Error> {
        let Some(link) = self.link(name).await? else { return Ok(()) };
        let message = rtnetlink::AddressMessageBuilder::<Ipv4Addr>::new()
            .index(link.index)
            .address(address.addr(), address.prefix_len())
            .build();
        let action = format!("take the address {address} from {name}");
        let deleted = self.handle.address().del(message).execute().await;
        accept(deleted.map_err(Error::netlink(action)), &[EADDRNOTAVAIL, ENODEV])
    }

    /// Sends `destination` through `gateway`, in place of another route of ours to it.
    pub async fn replace_route(&self, destination: Ipv4Net, gateway: Ipv4Addr) -> Result<(), Error> {
        let added = self.handle.route().add(our_route(destination, gateway)).replace().execute().await;
        added.map_err(Error::netlink(format!("route {destination} through {gateway}")))
    }

    /// Takes a route of ours away.
    pub async fn delete_route(&self, destination: Ipv4Net, gateway: Ipv4Addr) -> Result<(), Error> {
        let deleted = self.handle.route().del(our_route(destination, gateway)).execute().await;
        let action = format!("delete the route to {destination} through {gateway}");
        accept(deleted.map_err(Error::netlink(action)), &[ESRCH, ENOENT])
    }

    async fn index(&self, name: &str) -> Result<u32, Error> {
        let link = self.link(name).await?;
        link.map(|link| link.index).ok_or_else(|| Error::NoLink(name.to_owned()))
    }

    async fn add_link(&self, message: LinkMessage, action: String) -> Result<(), Error> {
        accept(self.handle.link().add(message).execute().await.map_err(Error::netlink(action)), &[EEXIST])
    }

    async fn change_link(&self, message: LinkMessage, action: String) -> Result<(), Error> {
        self.handle.link().change(message).execute().await.map_err(Error::netlink(action))
    }
}

fn our_route(destination: Ipv4Net, gateway: Ipv4Addr) -> RouteMessage {
    RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(destination.network(), destination.prefix_len())
        .gateway(gateway)
        .protocol(RouteProtocol::Other(OUR_PROTOCOL))
        .build()
}

fn link_of(message: LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        alias: None,
        mtu: 0,
        up: message.header.flags.contains(LinkFlags::Up),
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            _ => {}
        }
    }
    link
}

fn address_of(message: &AddressMessage) -> Option<(u32, Ipv4Net)> {
    // On a point-to-point link `Address` is the other end; `Local` is always ours.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
        _ => None,
    })?;
    Some((message.header.index, Ipv4Net::new(local, message.header.prefix_len).ok()?))
}

fn route_of(message: &RouteMessage) -> Option<Route> {
    let header = &message.header;
    if header.table != RouteHeader::RT_TABLE_MAIN || header.kind != RouteType::Unicast {
        return None;
    }
    let (mut network, mut gateway, mut link) = (Ipv4Addr::UNSPECIFIED, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => network = *address,
            RouteAttribute::Gateway(RouteAddress::Inet(address)) => gateway = Some(*address),
            RouteAttribute::Oif(index) => link = Some(*index),
            _ => {}
        }
    }
    let destination = Ipv4Net::new(network, header.destination_prefix_length).ok()?;
    Some(Route { destination, gateway, link, ours: header.protocol == RouteProtocol::Other(OUR_PROTOCOL) })
}
