//! The body of an answer that goes on: its end, however it comes about, is recorded.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tiphys_api::serve::{Body, BoxError, boxed};

use super::ending::Ending;

pub struct Followed {
    body: Body,
    /// Dropped when the client has gone, the time is over, or all is said.
    _ending: Ending,
}

impl Followed {
    pub fn new(body: Body, ending: Ending) -> Self {
        Self { body, _ending: ending }
    }

    pub fn boxed(self) -> Body {
        boxed(self)
    }
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
