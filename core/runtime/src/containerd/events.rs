//! What happens to containers, told by containerd.
//!
//! CRI has an event stream of its own, but only from containerd 1.7 on; the
//! events of tasks are there in every version and come sooner.

use std::{path::Path, time::Duration};

use containerd_client::{
    events::{TaskExit, TaskOom, TaskStart},
    services::v1::{PublishRequest, SubscribeRequest, events_client::EventsClient},
    types::Envelope,
};
use futures::{Stream, StreamExt};
use prost::Message;

use super::{NAMESPACE, request};
use crate::{Error, Result};

/// Something happened to a container or a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// CRI's id of the container or sandbox.
    pub id: String,
    pub kind: EventKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Started,
    /// Its first process ended. CRI may say so a moment later.
    Exited,
    OutOfMemory,
}

/// containerd answers a subscription only with its first event. This one, of our
/// own, makes it answer, so that a subscription is known to be in force.
const KNOCK: &str = "/tiphys/knock";

/// Events from now on, until containerd ends.
pub async fn subscribe(socket: &Path) -> Result<impl Stream<Item = Result<Event>> + Send + use<>> {
    let mut client = EventsClient::new(crate::cri::channel(socket));
    let topics = ["/tasks/start", "/tasks/exit", "/tasks/oom", KNOCK];
    let filters = topics.map(|topic| format!("namespace=={NAMESPACE},topic==\"{topic}\"")).into();
    let mut knocking = client.clone();
    let mut subscription = std::pin::pin!(client.subscribe(SubscribeRequest { filters }));
    let answer = loop {
        tokio::select! {
            answer = &mut subscription => break answer.map_err(Error::call("subscribe"))?,
            () = tokio::time::sleep(Duration::from_millis(10)) => {
                let event = Some(prost_types::Any { type_url: "tiphys.io/Knock".into(), value: Vec::new() });
                let knock = PublishRequest { topic: KNOCK.into(), event };
                knocking.publish(request(knock)).await.map_err(Error::call("subscribe"))?;
            }
        }
    };
    Ok(answer.into_inner().filter_map(|envelope| async move {
        match envelope {
            Ok(envelope) => decode(envelope).map(Ok),
            Err(status) => Some(Err(Error::call("subscribe")(status))),
        }
    }))
}

/// `None` for what is of no interest: the end of an exec, an unknown message.
fn decode(envelope: Envelope) -> Option<Event> {
    let value = envelope.event?.value;
    match envelope.topic.as_str() {
        "/tasks/start" => {
            let start = TaskStart::decode(&*value).ok()?;
            Some(Event { id: start.container_id, kind: EventKind::Started })
        }
        "/tasks/exit" => {
            let exit = TaskExit::decode(&*value).ok()?;
            (exit.id == exit.container_id).then_some(Event { id: exit.container_id, kind: EventKind::Exited })
        }
        "/tasks/oom" => {
            let oom = TaskOom::decode(&*value).ok()?;
            Some(Event { id: oom.container_id, kind: EventKind::OutOfMemory })
        }
        _ => None,
    }
}
