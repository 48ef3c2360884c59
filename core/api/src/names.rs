//! Names that more than one part uses: namespaces, labels, annotations, ports.

/// Where Tiphys' own workloads run.
pub const SYSTEM_NAMESPACE: &str = "tiphys-system";

/// A server, as itself and to the other servers of its cluster.
pub const SERVER_USER: &str = "system:tiphys-server";

/// The path that Flight SQL's methods are below.
pub const FLIGHT_PATH: &str = "/arrow.flight.protocol.FlightService";

/// W3C trace context of the request that made an object; set while traces are exported.
pub const TRACEPARENT: &str = "tiphys.io/traceparent";

pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// The kubelet's HTTPS port.
pub const KUBELET_PORT: u16 = 10250;

/// The collector's HTTP port on its Pod, and its name in the Pod's spec.
pub const COLLECTOR_PORT: u16 = 10260;

/// The label of the collector's Pods, as `app=tiphys-collector`.
pub const COLLECTOR_APP: &str = "tiphys-collector";
