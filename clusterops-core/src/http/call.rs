//! A call: attempts, at one node or at several, until one gives what can stand.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use super::client::FOREVER;
use super::failure::Failure;
use super::nodes::Order;
use super::retry::{self, Again};
use super::{HttpClient, HttpRequest, HttpResponse, HttpStream, LOG};
use crate::{Error, ErrorKind, Result};

/// Whom to call.
#[derive(Clone, Copy)]
pub(super) enum Nodes<'a> {
    One(&'a HttpClient),
    Several(&'a [HttpClient], &'a Order),
}

/// Sends a request until there is an answer, whole or only its head: in each round every node is tried at most once, until
/// one is well; after a pause comes the next round.
pub(super) async fn call<T: Answered>(nodes: Nodes<'_>, request: &HttpRequest) -> Result<T> {
    let settings = nodes.first().settings();
    let deadline = request.deadline.unwrap_or(settings.deadline).min(FOREVER);
    let until = Instant::now() + deadline;
    let retries = &settings.retries;
    let mut round = 1;
    let mut last: Option<Error> = None;
    loop {
        let order = nodes.in_order();
        let mut left = order.len();
        for index in order {
            left -= 1;
            let node = nodes.node(index);
            let span = match settings.attempt_deadline {
                Some(span) if request.repeatable => span.min(FOREVER),
                _ => FOREVER,
            };
            let attempt_until = (Instant::now() + span).min(until);
            let outcome = tokio::time::timeout_at(attempt_until, attempt::<T>(node, request)).await;
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(_) => {
                    let whole = attempt_until == until;
                    let span = if whole { deadline } else { span };
                    let name = node.name(request);
                    let error = too_late(&name, "no whole answer", span, request.repeatable);
                    if whole {
                        nodes.unwell(index);
                        return Err(match last {
                            Some(last) => error.caused_by(last),
                            None => error,
                        });
                    }
                    let again = Again::IfRepeatable;
                    Err(Failure { error, again })
                }
            };
            match &outcome {
                Ok(answer) => {
                    log::debug!(target: LOG, "{}: {}", node.name(request), answer.status());
                }
                Err(failure) => log::debug!(target: LOG, "{}", failure.error),
            }
            let unwell = is_unwell(&outcome);
            match unwell {
                true => nodes.unwell(index),
                false => nodes.well(index),
            }
            let ours = retry::our_pause(retries, round);
            let Some(pause) = pause(request, &outcome, ours) else {
                return outcome.map_err(|failure| failure.error);
            };
            if unwell && left > 0 && Instant::now() < until {
                last = outcome.err().map(|failure| failure.error);
                continue;
            }
            let next = Instant::now().checked_add(pause);
            match next {
                Some(next) if next < until && round < retries.attempts => {
                    log::debug!(target: LOG, "{}: again in {pause:?}", node.name(request));
                    tokio::time::sleep_until(next).await;
                }
                _ => return outcome.map_err(|failure| failure.error),
            }
            last = outcome.err().map(|failure| failure.error);
            break;
        }
        round += 1;
    }
}

async fn attempt<T: Answered>(node: &HttpClient, request: &HttpRequest) -> Result<T, Failure> {
    T::of(node.open(request).await?).await
}

/// What an attempt gives.
pub(super) trait Answered: Sized + Send {
    /// What is wanted of an answer that has begun.
    fn of(answer: HttpStream) -> impl Future<Output = Result<Self, Failure>> + Send;
    fn status(&self) -> u16;
    fn headers(&self) -> &HeaderMap;
}

impl Answered for HttpResponse {
    fn of(answer: HttpStream) -> impl Future<Output = Result<Self, Failure>> + Send {
        answer.whole()
    }

    fn status(&self) -> u16 {
        self.status
    }

    fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl Answered for HttpStream {
    async fn of(answer: HttpStream) -> Result<Self, Failure> {
        Ok(answer)
    }

    fn status(&self) -> u16 {
        HttpStream::status(self)
    }

    fn headers(&self) -> &HeaderMap {
        HttpStream::headers(self)
    }
}

/// The pause before another attempt, where one makes sense.
fn pause<T: Answered>(
    request: &HttpRequest,
    outcome: &Result<T, Failure>,
    ours: Duration,
) -> Option<Duration> {
    match outcome {
        Ok(answer) => {
            let asked = answer.headers().get(RETRY_AFTER);
            let asked = asked.and_then(|value| value.to_str().ok());
            retry::after_answer(answer.status(), asked, request.repeatable, ours)
        }
        Err(failure) => match failure.again {
            Again::Always => Some(ours),
            Again::IfRepeatable if request.repeatable => Some(ours),
            _ => None,
        },
    }
}

/// Whether it is the node that does not work, rather than the request.
fn is_unwell<T: Answered>(outcome: &Result<T, Failure>) -> bool {
    match outcome {
        Ok(answer) => matches!(answer.status(), 502..=504),
        Err(failure) => failure.again != Again::Never,
    }
}

impl<'a> Nodes<'a> {
    fn first(self) -> &'a HttpClient {
        self.node(0)
    }

    fn node(self, index: usize) -> &'a HttpClient {
        match self {
            Self::One(node) => node,
            Self::Several(nodes, _) => &nodes[index],
        }
    }

    fn in_order(self) -> Vec<usize> {
        match self {
            Self::One(_) => vec![0],
            Self::Several(_, order) => order.at(Instant::now()),
        }
    }

    fn well(self, index: usize) {
        if let Self::Several(_, order) = self {
            order.well(index);
        }
    }

    fn unwell(self, index: usize) {
        if let Self::Several(_, order) = self {
            order.unwell(index, Instant::now());
        }
    }
}

pub(super) fn too_late(name: &str, what: &str, deadline: Duration, repeatable: bool) -> Error {
    let message = format!("{name}: {what} within {deadline:?}");
    match repeatable {
        true => Error::new(ErrorKind::Timeout, message).retryable(),
        false => {
            let advice =
                "whether the request was acted on is not known; look before it is sent again";
            Error::new(ErrorKind::Timeout, format!("{message}, and {advice}"))
        }
    }
}
