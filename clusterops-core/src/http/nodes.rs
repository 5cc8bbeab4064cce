//! Several servers that can stand in for each other.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::call::{self, Nodes};
use super::client::unusable;
use super::{HttpClient, HttpOptions, HttpRequest, HttpResponse, HttpStream};
use crate::Result;

/// How long a node is set aside after its first failure; doubled with each further one.
const ASIDE: Duration = Duration::from_secs(2);
/// How long it is set aside at most.
const ASIDE_LONGEST: Duration = Duration::from_secs(60);

/// Speaks HTTP to the nodes of one service, any of which can answer. Cheap to clone; clones share their connections and
/// what they know of the nodes.
///
/// It stays with a node for as long as that one works. A node that cannot be reached, loses the connection, takes too
/// long or answers 502, 503 or 504 is set aside, for 2 seconds at first and a minute at most, and the next one takes
/// over. Within a call the others are tried at once where the request may be repeated
/// ([`HttpRequest::repeatable`]) or did not reach the node; what may have been acted on is never sent twice.
/// Each attempt of [`HttpRetries`](super::HttpRetries) is one round over the nodes. A node that only takes too long uses
/// up the call's deadline, unless [`HttpOptions::attempt_deadline`] is shorter.
///
/// ```
/// use clusterops_core::http::{HttpNodes, HttpOptions};
///
/// let nodes = ["https://es1.example.org:9200", "https://es2.example.org:9200"];
/// let nodes = HttpNodes::new(&nodes, HttpOptions::default()).unwrap();
/// assert_eq!(nodes.urls().count(), 2);
/// ```
#[derive(Clone)]
pub struct HttpNodes(Arc<Inner>);

struct Inner {
    nodes: Vec<HttpClient>,
    order: Order,
}

impl HttpNodes {
    /// A client for these nodes, which all get the same options.
    ///
    /// # Errors
    /// As [`HttpClient::new`], and [`Options`](crate::ErrorKind::Options) for no node.
    pub fn new<N: AsRef<str>>(urls: &[N], options: HttpOptions) -> Result<Self> {
        if urls.is_empty() {
            return Err(unusable("there is no URL of a node to speak to".to_owned()));
        }
        let nodes = urls
            .iter()
            .map(|url| HttpClient::new(url.as_ref(), options.clone()))
            .collect::<Result<Vec<_>>>()?;
        let order = Order::of(nodes.len());
        Ok(Self(Arc::new(Inner { nodes, order })))
    }

    /// The nodes' URLs, in the order given.
    pub fn urls(&self) -> impl Iterator<Item = &str> {
        self.0.nodes.iter().map(HttpClient::url)
    }

    /// Sends a request to the nodes in turn until one gives an answer that can stand, whatever its status.
    ///
    /// # Errors
    /// As [`HttpClient::send`]: what the last node tried gave.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse> {
        call::call(self.nodes(), &request).await
    }

    /// The same with a body that is read piece by piece; once its head is there, the answer stays with its node.
    ///
    /// # Errors
    /// As [`HttpClient::stream`]: what the last node tried gave.
    pub async fn stream(&self, request: HttpRequest) -> Result<HttpStream> {
        call::call(self.nodes(), &request).await
    }

    /// A text of a server as it may be shown: withheld where it repeats a piece of our credentials.
    pub fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.0.nodes[0].shown(text)
    }

    fn nodes(&self) -> Nodes<'_> {
        Nodes::Several(&self.0.nodes, &self.0.order)
    }
}

impl fmt::Debug for HttpNodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.urls()).finish()
    }
}

/// Which node to try first, and which only when no other is left.
pub(super) struct Order(Mutex<State>);

struct State {
    /// The node we stay with.
    current: usize,
    health: Vec<Health>,
}

#[derive(Clone, Copy, Default)]
struct Health {
    failures: u32,
    aside_until: Option<Instant>,
}

impl Order {
    fn of(nodes: usize) -> Self {
        Self(Mutex::new(State {
            current: 0,
            health: vec![Health::default(); nodes],
        }))
    }

    /// The nodes from the current one on; those set aside come last, who comes back first before others.
    pub(super) fn at(&self, now: Instant) -> Vec<usize> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = state.health.len();
        let mut order: Vec<_> = (0..count).map(|n| (state.current + n) % count).collect();
        order.sort_by_key(|&index| state.health[index].aside_until.filter(|until| *until > now));
        order
    }

    pub(super) fn well(&self, index: usize) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.health[index] = Health::default();
        let current = state.current;
        if state.health[current].failures > 0 {
            state.current = index;
        }
    }

    pub(super) fn unwell(&self, index: usize, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let health = &mut state.health[index];
        let factor = 2_u32.saturating_pow(health.failures.min(10));
        health.failures = health.failures.saturating_add(1);
        let span = ASIDE.saturating_mul(factor).min(ASIDE_LONGEST);
        health.aside_until = Some(now + span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_fails_is_set_aside_and_the_next_one_stays() {
        let order = Order::of(3);
        let began = Instant::now();
        assert_eq!(order.at(began), [0, 1, 2]);
        order.unwell(0, began);
        assert_eq!(order.at(began), [1, 2, 0]);
        order.well(1);
        let later = began + ASIDE * 2;
        assert_eq!(
            order.at(later),
            [1, 2, 0],
            "it stays with the one that works"
        );
        order.unwell(1, later);
        assert_eq!(order.at(later), [2, 0, 1]);
        order.unwell(2, later);
        // The second failure in a row keeps a node aside for longer.
        order.unwell(0, later);
        assert_eq!(order.at(later), [1, 2, 0]);
        let much_later = later + ASIDE_LONGEST;
        assert_eq!(order.at(much_later), [1, 2, 0]);
    }
}
