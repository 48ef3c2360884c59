//! From a query to its answer: the zone first, upstream for what is not in it.

use std::{sync::Arc, time::Instant};

use hickory_server::{
    net::{NetError, runtime::Time},
    proto::{
        op::{Edns, Header, HeaderCounts, Message, MessageType, Metadata, OpCode, Query, ResponseCode},
        rr::{DNSClass, Name, Record, RecordType},
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use parking_lot::RwLock;

use crate::{
    forward::Forwarder,
    metrics::{Asked, By, Metrics},
    zone::{Answer, Zone},
};

/// UDP answers are cut off at this even for a client that would take more: larger
/// ones get lost in fragments.
const MOST_UDP_BYTES: u16 = 4096;
/// Names that stand for names, followed at most this far.
const MOST_ALIASES: usize = 8;

/// Answers the queries of all sockets.
pub(crate) struct Answerer {
    zone: Arc<RwLock<Zone>>,
    forwarder: Forwarder,
    metrics: Metrics,
}

/// The sections of an answer.
#[derive(Default)]
struct Sections {
    by: By,
    code: ResponseCode,
    is_authoritative: bool,
    answers: Vec<Record>,
    authorities: Vec<Record>,
    additionals: Vec<Record>,
}

impl Answerer {
    pub(crate) fn new(zone: Arc<RwLock<Zone>>, forwarder: Forwarder, metrics: Metrics) -> Self {
        Self { zone, forwarder, metrics }
    }

    async fn answer(&self, request: &Request) -> Sections {
        if request.metadata.op_code != OpCode::Query {
            return failure(ResponseCode::NotImp);
        }
        let Ok(info) = request.request_info() else { return failure(ResponseCode::FormErr) };
        let question = info.query.original().clone();
        if matches!(question.query_type(), RecordType::AXFR | RecordType::IXFR) {
            return failure(ResponseCode::Refused);
        }
        let own = if question.query_class() == DNSClass::IN {
            self.zone.read().look_up(question.name(), question.query_type())
        } else {
            Answer::Elsewhere
        };
        let (by, sections) = match own {
            Answer::Elsewhere => (By::Upstream, self.forward(request.as_slice(), &question).await),
            Answer::Alias { record, target } => (By::Cluster, self.follow(record, target, &question).await),
            other => (By::Cluster, of_zone(other)),
        };
        Sections { by, ..sections }
    }

    /// An alias with what it leads to: a stub resolver does not ask again.
    async fn follow(&self, record: Record, target: Name, question: &Query) -> Sections {
        let mut sections = Sections { is_authoritative: true, ..Sections::default() };
        let (mut answers, mut target) = (vec![record], target);
        while question.query_type() != RecordType::CNAME && answers.len() <= MOST_ALIASES {
            let found = self.zone.read().look_up(&target, question.query_type());
            match found {
                Answer::Alias { record, target: next } => {
                    answers.push(record);
                    target = next;
                    continue;
                }
                Answer::Elsewhere => {
                    let question = Query::query(target, question.query_type());
                    let mut query = Message::query();
                    query.metadata.recursion_desired = true;
                    query.add_query(question.clone());
                    let Ok(bytes) = query.to_vec() else { return failure(ResponseCode::ServFail) };
                    sections = Sections { is_authoritative: false, ..self.forward(&bytes, &question).await };
                }
                other => sections = of_zone(other),
            }
            break;
        }
        sections.answers.splice(0..0, answers);
        sections
    }

    async fn forward(&self, query: &[u8], question: &Query) -> Sections {
        let started = Instant::now();
        let answer = self.forwarder.ask(query, question).await;
        self.metrics.forwarded(started.elapsed());
        match answer {
            Ok(message) => Sections {
                code: message.metadata.response_code,
                answers: message.answers,
                authorities: message.authorities,
                additionals: message.additionals,
                ..Sections::default()
            },
            Err(error) => {
                tracing::debug!(name = %question.name(), %error, "a name could not be resolved upstream");
                failure(ResponseCode::ServFail)
            }
        }
    }
}

fn asked(request: &Request) -> Asked {
    let kind = request.request_info().ok().map(|info| info.query.original().query_type());
    Asked { kind, is_datagram: request.protocol().is_datagram(), is_ipv4: request.src().is_ipv4() }
}

fn failure(code: ResponseCode) -> Sections {
    Sections { code, ..Sections::default() }
}

fn of_zone(answer: Answer) -> Sections {
    let own = Sections { is_authoritative: true, ..Sections::default() };
    match answer {
        Answer::Records { answers, additionals } => Sections { answers, additionals, ..own },
        Answer::NoData(soa) => Sections { authorities: vec![soa], ..own },
        Answer::NoName(soa) => Sections { code: ResponseCode::NXDomain, authorities: vec![soa], ..own },
        Answer::NotYet | Answer::Elsewhere | Answer::Alias { .. } => failure(ResponseCode::ServFail),
    }
}

#[async_trait::async_trait]
impl RequestHandler for Answerer {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut client: R,
    ) -> ResponseInfo {
        let started = Instant::now();
        let sections = self.answer(request).await;
        self.metrics.answered(&asked(request), sections.by, sections.code, started.elapsed());
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.response_code = sections.code;
        metadata.authoritative = sections.is_authoritative;
        metadata.recursion_available = true;
        let edns = request.edns.as_ref().map(|asked| {
            let mut edns = Edns::new();
            edns.set_max_payload(asked.max_payload().clamp(512, MOST_UDP_BYTES));
            edns
        });
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if let Some(edns) = &edns {
            builder.edns(edns);
        }
        let none: [Record; 0] = [];
        let response = builder.build(
            metadata,
            sections.answers.iter(),
            sections.authorities.iter(),
            none.iter(),
            sections.additionals.iter(),
        );
        let sent: Result<ResponseInfo, NetError> = client.send_response(response).await;
        sent.unwrap_or_else(|error| {
            tracing::debug!(%error, "an answer could not be sent");
            let mut metadata = Metadata::new(request.metadata.id, MessageType::Response, OpCode::Query);
            metadata.response_code = ResponseCode::ServFail;
            Header { metadata, counts: HeaderCounts::default() }.into()
        })
    }
}
