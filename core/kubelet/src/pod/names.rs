//! Labels and annotations on sandboxes and containers: what a restarted kubelet
//! knows them by. Those of Kubernetes are the ones that other tools read, too.

pub const POD_NAME: &str = "io.kubernetes.pod.name";
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub const POD_UID: &str = "io.kubernetes.pod.uid";
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";

/// A fingerprint of the container's spec: a change of it means a restart.
pub const SPEC_HASH: &str = "io.kubernetes.container.hash";
pub const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
pub const TERMINATION_PATH: &str = "io.kubernetes.container.terminationMessagePath";
pub const TERMINATION_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";

/// How long the container was held back before its start, in milliseconds: the
/// next pause follows from it.
pub const RESTART_DELAY: &str = "tiphys.io/restart-delay-ms";
/// The Pod's control group, below the hierarchy's root.
pub const POD_GROUP: &str = "tiphys.io/pod-group";
/// The grace period of the Pod, in seconds, for when its object is gone.
pub const GRACE: &str = "io.kubernetes.pod.terminationGracePeriod";

/// On a static Pod's copy in the API.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
pub const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
pub const CONFIG_HASH: &str = "kubernetes.io/config.hash";
