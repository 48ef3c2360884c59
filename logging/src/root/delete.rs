//! Deleting a namespace's logs: every collector is told, and the archive, which tells
//! those that could not be reached when they come back.

use std::collections::BTreeSet;

use futures::future::join_all;
use tiphys_api::auth::UserInfo;

use super::{Collector, LogRoot, RootError, allow, fanout, source};
use crate::{
    deletion::{DeleteAnswer, DeleteOrder, DeleteRequest},
    time,
    wire::NodeError,
};

pub(super) async fn delete(
    root: &LogRoot,
    user: &UserInfo,
    request: &DeleteRequest,
) -> Result<DeleteAnswer, RootError> {
    let namespace = request.namespace.as_str();
    if namespace.is_empty() {
        return Err(RootError::Invalid("`namespace` is missing: name the one whose logs are to go".into()));
    }
    if !is_label(namespace) {
        let shown: String = namespace.chars().take(100).collect();
        let message =
            format!("`{shown}` is no namespace's name: small letters, digits and `-` inside, up to 63");
        return Err(RootError::Invalid(message));
    }
    allow::may_delete(&*root.authorizer, user, namespace).map_err(RootError::Forbidden)?;
    let now = time::now();
    let before = request.before.as_deref().filter(|text| !text.is_empty());
    let before = before.map_or(Ok(now), |text| time::resolve(text, now, "before"));
    let before = before.map_err(|error| RootError::Invalid(error.to_string()))?;
    let order = DeleteOrder { namespace: namespace.to_owned(), before };
    let collectors = root.collectors.list().await;
    let told = join_all(collectors.iter().map(|collector| tell(root, collector, &order))).await;

    let mut answer =
        DeleteAnswer { namespace: order.namespace, before: time::format(before), ..Default::default() };
    for (collector, told) in collectors.iter().zip(told) {
        match told {
            Ok(()) => answer.nodes.push(collector.node.clone()),
            Err(error) => answer.partial.push(fanout::node_error(&collector.node, error)),
        }
    }
    match &root.archive {
        None => {
            for missing in &mut answer.partial {
                missing.error.push_str("; delete again when it is back");
            }
        }
        Some(archive) => {
            // Nodes that have no collector now may come back with what they have.
            let moment = archive.moment().await;
            let gone = moment.nodes().into_iter();
            let mut waiting: BTreeSet<String> = answer.partial.iter().map(|m| m.node.clone()).collect();
            waiting.extend(gone.filter(|node| collectors.iter().all(|c| c.node != *node)));
            match archive.delete_records(namespace, before, waiting).await {
                Ok(()) => {
                    answer.archive = true;
                    answer.partial.extend(moment.fault().map(|fault| not_all_told(&fault.why)));
                }
                Err(error) => {
                    let error = format!("{}; delete again", crate::archive::chain(&error));
                    answer.partial.push(fanout::node_error("archive", error));
                }
            }
        }
    }
    Ok(answer)
}

/// Nodes that are gone are known by what is archived of them.
fn not_all_told(why: &str) -> NodeError {
    let error = format!("{why}; nodes that are gone may come back with such records: delete again");
    fanout::node_error("archive", error)
}

/// A label as RFC 1123 has it, which names of namespaces are.
fn is_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

async fn tell(root: &LogRoot, collector: &Collector, order: &DeleteOrder) -> Result<(), String> {
    match tokio::time::timeout(root.deadline, source::order(&root.http, collector, order)).await {
        Ok(told) => told,
        Err(_) => Err(format!("no answer within {:?}", root.deadline)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abuse_14_names_that_are_none_of_a_namespace() {
        for good in ["shop", "a", "1-2", &"x".repeat(63)] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "Shop", "-a", "a-", "a.b", "a/b", "../x", "a_b", "é", &"x".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
    }
}
