//! What a process of Tiphys can be: one file a role, each `start`s its parts
//! from a context that was handed to it.

pub mod agent;
pub mod collector;
mod component_metrics;
mod kernel_log;
pub mod kubelet;
mod logs;
pub mod own_log;
pub mod process;
mod rest_client;
pub mod server;
mod server_logs;
mod sql_doors;
#[cfg(test)]
pub mod test_server;
