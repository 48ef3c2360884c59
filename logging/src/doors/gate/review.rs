//! Asks the API server who a sender is and what it may, and remembers the answers
//! for a few seconds.
//!
//! Bounded: [`REMEMBERED`] answers of each kind, [`ASKING`] questions at once. A
//! token that was refused is remembered as well, so that a wrong one can't keep
//! the API server busy; many wrong ones push out the oldest answers, not all.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use async_trait::async_trait;
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, time::Instant};

use super::{Door, GROUP, Gate, Refusal, Sender, forbidden};
use crate::doors::refusal::Kind;

/// How long an answer holds: so long a deleted right still works.
const HOLDS: Duration = Duration::from_secs(10);
const REMEMBERED: usize = 4_096;
const ASKING: usize = 8;
/// The API server's time for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A gate that asks the API server.
pub struct Reviews {
    client: Client,
    /// By the token's digest.
    who: Memory<[u8; 32], Result<Sender, Refusal>>,
    may: Memory<(Sender, Door, String), Result<(), Refusal>>,
    asking: Semaphore,
}

impl Reviews {
    pub fn new(client: Client) -> Self {
        Self { client, who: Memory::default(), may: Memory::default(), asking: Semaphore::new(ASKING) }
    }

    async fn create<T>(&self, question: &T) -> Result<T, Refusal>
    where
        T: kube::Resource<DynamicType = ()>
            + Clone
            + serde::Serialize
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        let no = |why: String| Refusal::unavailable(format!("the API server can't be asked: {why}"));
        let ask = async {
            let _turn = self.asking.acquire().await.map_err(|error| no(error.to_string()))?;
            let api: Api<T> = Api::all(self.client.clone());
            api.create(&PostParams::default(), question).await.map_err(|error| no(error.to_string()))
        };
        tokio::time::timeout(PATIENCE, ask).await.map_err(|_| no(format!("no answer within {PATIENCE:?}")))?
    }

    async fn ask_who(&self, token: &str) -> Result<Sender, Refusal> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = self.create(&TokenReview { spec, ..TokenReview::default() }).await?;
        let status = review.status.unwrap_or_default();
        let user = status.user.filter(|_| status.authenticated == Some(true)).ok_or_else(|| {
            let why = status.error.map(|error| format!(" ({error})")).unwrap_or_default();
            Refusal::new(
                Kind::Unauthenticated,
                format!(
                    "the token is not valid{why}: make one with `kubectl create token <service account>`"
                ),
            )
        })?;
        Ok(Sender {
            name: user.username.unwrap_or_default(),
            uid: user.uid.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
        })
    }

    async fn ask_may(&self, sender: &Sender, door: Door, namespace: &str) -> Result<(), Refusal> {
        let attributes = ResourceAttributes {
            group: Some(GROUP.to_owned()),
            resource: Some(door.resource().to_owned()),
            verb: Some("create".to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: Some(sender.name.clone()),
            uid: Some(sender.uid.clone()),
            groups: Some(sender.groups.clone()),
            extra: Some(sender.extra.clone()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let review = self.create(&SubjectAccessReview { spec, ..SubjectAccessReview::default() }).await?;
        let status = review.status.unwrap_or_default();
        if status.allowed {
            return Ok(());
        }
        Err(forbidden(sender, door, namespace, status.reason.as_deref().unwrap_or_default()))
    }
}

#[async_trait]
impl Gate for Reviews {
    async fn who(&self, token: &str) -> Result<Sender, Refusal> {
        let key: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.who.get(&key) {
            return known;
        }
        let answer = self.ask_who(token).await;
        self.who.put(key, &answer);
        answer
    }

    async fn may(&self, sender: &Sender, door: Door, namespace: &str) -> Result<(), Refusal> {
        let key = (sender.clone(), door, namespace.to_owned());
        if let Some(known) = self.may.get(&key) {
            return known;
        }
        let answer = self.ask_may(sender, door, namespace).await;
        self.may.put(key, &answer);
        answer
    }
}

/// Answers, for a few seconds.
struct Memory<K, V>(Mutex<Answers<K, V>>);

struct Answers<K, V> {
    known: HashMap<K, (Instant, V)>,
    /// Since when which key is known, the oldest first. One that was answered again stands here twice.
    order: VecDeque<(Instant, K)>,
}

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Answers { known: HashMap::new(), order: VecDeque::new() }))
    }
}

impl<K: Clone + Eq + Hash, T: Clone> Memory<K, Result<T, Refusal>> {
    fn get(&self, key: &K) -> Option<Result<T, Refusal>> {
        let answers = self.0.lock();
        let (since, answer) = answers.known.get(key)?;
        (since.elapsed() < HOLDS).then(|| answer.clone())
    }

    /// That the API server didn't answer is not remembered.
    fn put(&self, key: K, answer: &Result<T, Refusal>) {
        if answer.as_ref().is_err_and(|refusal| refusal.kind.is_temporary()) {
            return;
        }
        let (mut answers, now) = (self.0.lock(), Instant::now());
        answers.make_room();
        answers.order.push_back((now, key.clone()));
        answers.known.insert(key, (now, answer.clone()));
    }
}

impl<K: Eq + Hash, V> Answers<K, V> {
    /// For one more. What holds no longer goes, and then the oldest, if there are too many.
    fn make_room(&mut self) {
        while let Some((since, _)) = self.order.front() {
            if since.elapsed() < HOLDS && self.order.len() < REMEMBERED {
                return;
            }
            let Some((since, key)) = self.order.pop_front() else { return };
            // Answered again since then, it is known for longer.
            if self.known.get(&key).is_some_and(|(known, _)| *known == since) {
                self.known.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::{Json, Router, routing::post};
    use serde_json::{Value, json};
    use tiphys_api::{auth::UserInfo, serve::Handler};
    use tower::ServiceExt;

    use super::*;

    /// An API server that knows one account, which may send by OTLP to `shop`; `away` is answered
    /// by an error. It counts what it is asked.
    fn reviews() -> (Reviews, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let (who, may) = (asked.clone(), asked.clone());
        let who = async move |Json(mut review): Json<Value>| {
            who.fetch_add(1, Ordering::Relaxed);
            let user = json!({"username": "system:serviceaccount:shop:sender", "groups": ["g"], "extra": {"e": ["x"]}});
            review["status"] = match review["spec"]["token"].as_str() {
                Some("good") => json!({"authenticated": true, "user": user}),
                Some("away") => json!(7),
                _ => json!({"authenticated": false, "error": "it has expired"}),
            };
            Json(review)
        };
        let may = async move |Json(mut review): Json<Value>| {
            may.fetch_add(1, Ordering::Relaxed);
            let spec = &review["spec"];
            assert_eq!((&spec["groups"], &spec["extra"]["e"]), (&json!(["g"]), &json!(["x"])));
            let wanted = json!({"group": GROUP, "resource": "otlp", "verb": "create", "namespace": "shop"});
            let allowed =
                spec["resourceAttributes"] == wanted && spec["user"] == "system:serviceaccount:shop:sender";
            review["status"] = json!({"allowed": allowed, "reason": "RBAC says so"});
            Json(review)
        };
        let router = Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(who))
            .route("/apis/authorization.k8s.io/v1/subjectaccessreviews", post(may));
        let service = tower::service_fn(move |request: http::Request<tiphys_api::serve::Body>| {
            let router = router.clone();
            async move {
                let response = router.oneshot(request.map(axum::body::Body::new)).await?;
                Ok(response.map(tiphys_api::serve::boxed))
            }
        });
        (Reviews::new(tiphys_client::in_memory(Handler::new(service), UserInfo::master("collector"))), asked)
    }

    #[tokio::test]
    async fn the_api_servers_answers_count_and_are_remembered() {
        let (reviews, asked) = reviews();
        let sender = reviews.who("good").await.expect("known");
        assert_eq!(sender.own_namespace(), Some("shop"));
        for _ in 0..3 {
            assert_eq!(reviews.who("good").await, Ok(sender.clone()));
            assert_eq!(reviews.may(&sender, Door::Otlp, "shop").await, Ok(()));
            let refusal = reviews.may(&sender, Door::Loki, "shop").await.expect_err("refused");
            assert_eq!(refusal.kind, Kind::Forbidden);
            assert!(refusal.message.contains("resource loki") && refusal.message.contains("RBAC says so"));
            assert_eq!(
                reviews.may(&sender, Door::Otlp, "ops").await.expect_err("refused").kind,
                Kind::Forbidden
            );
            let wrong = reviews.who("wrong").await.expect_err("refused");
            assert!(
                wrong.kind == Kind::Unauthenticated && wrong.message.contains("it has expired"),
                "{wrong}"
            );
        }
        assert_eq!(asked.load(Ordering::Relaxed), 5, "each question is asked once");
        for _ in 0..2 {
            assert_eq!(reviews.who("away").await.expect_err("refused").kind, Kind::Unavailable);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 7, "no answer is not remembered");
    }

    /// How many answers are held, and in how many places of the order.
    fn held(memory: &Memory<usize, Result<usize, Refusal>>) -> (usize, usize) {
        let answers = memory.0.lock();
        (answers.known.len(), answers.order.len())
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_answers_go_when_there_are_too_many() {
        let memory: Memory<usize, Result<usize, Refusal>> = Memory::default();
        for number in 0..REMEMBERED * 2 + 10 {
            memory.put(number, &Ok(number));
            assert_eq!(held(&memory), ((number + 1).min(REMEMBERED), (number + 1).min(REMEMBERED)));
            assert_eq!(memory.get(&number), Some(Ok(number)));
        }
        let (first, last) = (REMEMBERED + 10, REMEMBERED * 2 + 9);
        assert_eq!(memory.get(&first), Some(Ok(first)), "as many as may be are kept");
        assert_eq!(memory.get(&(first - 1)), None, "the oldest has gone");
        // One that is answered again and again takes no room of others for longer than it must.
        for _ in 0..REMEMBERED / 2 {
            memory.put(last, &Ok(0));
        }
        assert_eq!(memory.get(&(first + REMEMBERED / 2)), Some(Ok(first + REMEMBERED / 2)));
        assert_eq!(memory.get(&last), Some(Ok(0)));
        assert!(held(&memory).1 <= REMEMBERED);
    }

    #[tokio::test(start_paused = true)]
    async fn what_holds_no_longer_goes_with_the_next_answer() {
        let memory: Memory<usize, Result<usize, Refusal>> = Memory::default();
        memory.put(1, &Ok(1));
        memory.put(2, &Ok(2));
        tokio::time::advance(HOLDS / 2).await;
        memory.put(1, &Ok(10));
        tokio::time::advance(HOLDS / 2).await;
        assert_eq!((memory.get(&1), memory.get(&2)), (Some(Ok(10)), None), "the later answer holds on");
        memory.put(3, &Ok(3));
        assert_eq!(held(&memory), (2, 2), "1 by its later answer, and 3");
        assert_eq!(memory.get(&1), Some(Ok(10)));
        tokio::time::advance(HOLDS).await;
        memory.put(4, &Ok(4));
        assert_eq!(held(&memory), (1, 1));
    }
}
