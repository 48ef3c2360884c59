//! Who may read figures with a token alone: whose ServiceAccount has the right `get` of
//! `nodes/metrics`, as it is with every kubelet.
//!
//! ```text
//! no certificate ─> token of the header ─> TokenReview ─> SubjectAccessReview ─> figures, nothing else
//! ```
//!
//! A verdict holds for a while, also a bad one, and how many questions wait is bounded: wrong
//! tokens can't keep the API server busy, nor take the place of one that it has allowed. What the
//! API server did not answer is asked again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// So long a right that was taken away still works: longer than from one scrape to the next.
const HOLDS: Duration = Duration::from_secs(60);
/// So long one that was given does not work yet.
const REFUSAL_HOLDS: Duration = Duration::from_secs(10);
const REMEMBERED: usize = 1024;
/// Questions at once, and those that wait for their turn.
const ASKING: usize = 8;
const WAITING: usize = 64;
/// The API server's time for both answers.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    May,
    Nobody,
    /// Who may not.
    Forbidden(String),
}

/// A verdict, and when it was given.
type Given = (Instant, Verdict);

fn holds((since, verdict): &Given) -> bool {
    let long = if *verdict == Verdict::May { HOLDS } else { REFUSAL_HOLDS };
    since.elapsed() < long
}

/// Asks the API server.
pub(super) struct Access {
    client: Client,
    node: String,
    /// By the token's digest.
    verdicts: Mutex<HashMap<[u8; 32], Given>>,
    asking: Semaphore,
    waiting: Semaphore,
}

impl Access {
    /// To the figures of the Node `node`.
    pub(super) fn new(client: Client, node: String) -> Self {
        let (asking, waiting) = (Semaphore::new(ASKING), Semaphore::new(WAITING));
        Self { client, node, verdicts: Mutex::default(), asking, waiting }
    }

    /// # Errors
    /// The API server can't be asked.
    async fn verdict(&self, token: &str) -> Result<Verdict, String> {
        let key: [u8; 32] = Sha256::digest(token).into();
        let fresh = |given: &Given| holds(given).then(|| given.1.clone());
        if let Some(known) = self.verdicts.lock().get(&key).and_then(fresh) {
            return Ok(known);
        }
        let Ok(_waits) = self.waiting.try_acquire() else {
            return Err("it is being asked about too many tokens".to_owned());
        };
        let ask = async {
            let _turn = self.asking.acquire().await.map_err(|error| error.to_string())?;
            self.ask(token).await.map_err(|error| error.to_string())
        };
        let verdict =
            timeout(PATIENCE, ask).await.map_err(|_| format!("no answer within {PATIENCE:?}"))??;
        let mut verdicts = self.verdicts.lock();
        if verdicts.len() >= REMEMBERED {
            verdicts.retain(|_, given| holds(given));
        }
        if verdicts.len() >= REMEMBERED {
            verdicts.retain(|_, (_, verdict)| *verdict == Verdict::May);
        }
        if verdicts.len() >= REMEMBERED {
            verdicts.clear();
        }
        verdicts.insert(key, (Instant::now(), verdict.clone()));
        Ok(verdict)
    }

    async fn ask(&self, token: &str) -> Result<Verdict, kube::Error> {
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let api: Api<TokenReview> = Api::all(self.client.clone());
        let review = api.create(&PostParams::default(), &review).await?;
        let status = review.status.unwrap_or_default();
        let Some(user) = status.user.filter(|_| status.authenticated == Some(true)) else {
            return Ok(Verdict::Nobody);
        };
        let name = user.username.clone().unwrap_or_default();
        let api: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = api.create(&PostParams::default(), &self.right_of(user)).await?;
        match review.status.unwrap_or_default().allowed {
            true => Ok(Verdict::May),
            false => Ok(Verdict::Forbidden(name)),
        }
    }

    /// The question whether a user may.
    fn right_of(&self, user: UserInfo) -> SubjectAccessReview {
        let attributes = ResourceAttributes {
            verb: Some("get".to_owned()),
            version: Some("v1".to_owned()),
            resource: Some("nodes".to_owned()),
            subresource: Some("metrics".to_owned()),
            name: Some(self.node.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: user.username,
            uid: user.uid,
            groups: user.groups,
            extra: user.extra,
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        SubjectAccessReview { spec, ..SubjectAccessReview::default() }
    }
}

/// Lets through who may.
pub(super) async fn admit(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let Some(token) = token(request.headers()).map(str::to_owned) else { return nobody() };
    match access.verdict(&token).await {
        Ok(Verdict::May) => next.run(request).await,
        Ok(Verdict::Nobody) => nobody(),
        Ok(Verdict::Forbidden(user)) => {
            let why = format!(
                "`{user}` may not read the figures of node {}: give it a ClusterRole with verb get, \
                 resource nodes/metrics\n",
                access.node
            );
            (StatusCode::FORBIDDEN, why).into_response()
        }
        Err(error) => {
            let why = format!("the API server can't be asked whose token it is: {error}\n");
            (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
        }
    }
}

fn nobody() -> Response {
    let how = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, how, "Unauthorized\n").into_response()
}

fn token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    Some(token.trim()).filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
