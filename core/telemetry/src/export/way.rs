//! How each signal goes out: by the channel of gRPC that they share, or each by a client of HTTP.

use tonic::transport::Channel;

use super::{
    endpoint,
    http::{Answers, Post, Target},
    signal::{Protocol, Signal, Variables},
};
use crate::TelemetryError;

pub enum Way {
    Grpc(Channel),
    Http(Post),
}

/// Makes the ways of one process.
pub struct Ways<'a> {
    url: &'a str,
    variables: Variables<'a>,
    channel: Option<Channel>,
    answers: Option<Answers>,
}

impl<'a> Ways<'a> {
    /// To the endpoint `url`, as the variables say.
    pub fn new(url: &'a str, variables: Variables<'a>) -> Self {
        Self { url, variables, channel: None, answers: None }
    }

    /// The way of a signal. Must be called on a tokio runtime, which carries it.
    ///
    /// # Errors
    /// A URL that is no endpoint; variables that can't be carried out.
    pub fn of(&mut self, signal: Signal) -> Result<Way, TelemetryError> {
        match signal.protocol(self.variables)? {
            Protocol::Grpc => Ok(Way::Grpc(self.channel()?)),
            Protocol::Http => {
                let target = Target::of(signal, self.url, self.variables)?;
                let answers = self.answers.get_or_insert_with(Answers::counted).clone();
                Ok(Way::Http(Post::new(target, self.variables, answers)?))
            }
        }
    }

    fn channel(&mut self) -> Result<Channel, TelemetryError> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        let made = endpoint::parse(self.url, self.variables)?.connect_lazy();
        self.channel = Some(made.clone());
        Ok(made)
    }
}
