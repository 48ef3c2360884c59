//! CNI configuration, node routes, and the service proxy.
