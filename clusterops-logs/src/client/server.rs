//! What answers: the product and its version, and all that follows from them.

use std::fmt;

use clusterops_core::http::{HttpNodes, HttpRequest};
use serde::Deserialize;

use super::failure;
use crate::reason::shortened;
use crate::{Error, ErrorKind, Result};

/// Which product a cluster runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Product {
    /// Elasticsearch, 7 to 9.
    Elasticsearch,
    /// OpenSearch, 1 to 3.
    OpenSearch,
}

/// What a cluster runs. Everything that differs between products and versions is asked here.
///
/// ```
/// use clusterops_logs::client::{Product, Server};
///
/// let server = Server::new(Product::OpenSearch, (2, 19, 1)).unwrap();
/// assert_eq!(server.to_string(), "OpenSearch 2.19.1");
/// assert!(server.has_points_in_time());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    product: Product,
    version: (u32, u32, u32),
    serverless: bool,
    oss: bool,
    disguised: bool,
}

impl Server {
    /// What a cluster is known to run, for callers who may not ask it ([`Client::assume`](super::Client::assume)).
    ///
    /// # Errors
    /// [`Input`](ErrorKind::Input) for a version that is not spoken here.
    pub fn new(product: Product, version: (u32, u32, u32)) -> Result<Self> {
        let server = Self {
            product,
            version,
            serverless: false,
            oss: false,
            disguised: false,
        };
        match server.is_spoken() {
            true => Ok(server),
            false => Err(Error::new(ErrorKind::Input, server.not_spoken())),
        }
    }

    /// The product.
    pub fn product(&self) -> Product {
        self.product
    }

    /// The version: major, minor, patch. Elasticsearch's serverless offering has none that means anything.
    pub fn version(&self) -> (u32, u32, u32) {
        self.version
    }

    /// Whether it is Elasticsearch's serverless offering, which has no shards and nodes to ask about.
    pub fn is_serverless(&self) -> bool {
        self.serverless
    }

    /// Whether it is an OpenSearch that says it were Elasticsearch 7.10.2
    /// (`compatibility.override_main_response_version`).
    pub fn is_disguised(&self) -> bool {
        self.disguised
    }

    /// Whether it can hold a point in time: OpenSearch from 2.4 on, Elasticsearch from 7.10 on but for the distribution
    /// under the Apache licence.
    pub fn has_points_in_time(&self) -> bool {
        match self.product {
            Product::OpenSearch => self.version >= (2, 4, 0),
            Product::Elasticsearch => self.version >= (7, 10, 0) && !self.oss,
        }
    }

    /// Whether hits can be sorted by `_shard_doc`: Elasticsearch from 7.12 on, OpenSearch from 3.3 on.
    pub fn has_shard_doc(&self) -> bool {
        match self.product {
            Product::OpenSearch => self.version >= (3, 3, 0),
            Product::Elasticsearch => self.version >= (7, 12, 0),
        }
    }

    /// The member of a `highlight` that says how much of a text is looked at, so that a longer one is no error:
    /// Elasticsearch from 7.12 on, OpenSearch from 2.2 on under another name.
    pub(super) fn highlight_limit(&self) -> Option<&'static str> {
        match self.product {
            Product::OpenSearch if self.version >= (2, 2, 0) => Some("max_analyzer_offset"),
            Product::Elasticsearch if self.version >= (7, 12, 0) => Some("max_analyzed_offset"),
            _ => None,
        }
    }

    /// Whether histograms over time take `fixed_interval`: Elasticsearch from 7.2 on and OpenSearch. Before that the name is
    /// `interval`.
    pub fn has_fixed_interval(&self) -> bool {
        match self.product {
            Product::OpenSearch => true,
            Product::Elasticsearch => self.version >= (7, 2, 0),
        }
    }

    /// The request that opens a point in time. Of two that were opened, the one that nobody uses ends by itself.
    pub(super) fn open_pit(&self, indices: &str) -> HttpRequest {
        let request = HttpRequest::post("/").segment(indices).repeatable(true);
        match self.product {
            Product::OpenSearch => request.segment("_search").segment("point_in_time"),
            Product::Elasticsearch => request.segment("_pit"),
        }
    }

    /// The request that closes a point in time, and its body.
    pub(super) fn close_pit(&self, id: &str) -> (HttpRequest, serde_json::Value) {
        match self.product {
            Product::OpenSearch => (
                HttpRequest::delete("/_search/point_in_time"),
                serde_json::json!({ "pit_id": [id] }),
            ),
            Product::Elasticsearch => (
                HttpRequest::delete("/_pit"),
                serde_json::json!({ "id": id }),
            ),
        }
    }

    fn is_spoken(&self) -> bool {
        let major = self.version.0;
        match self.product {
            Product::Elasticsearch => (7..=9).contains(&major),
            Product::OpenSearch => (1..=3).contains(&major),
        }
    }

    fn not_spoken(&self) -> String {
        format!("{self} is not spoken here: it has to be Elasticsearch 7 to 9 or OpenSearch 1 to 3")
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.version;
        match self.product {
            Product::Elasticsearch => write!(f, "Elasticsearch {major}.{minor}.{patch}"),
            Product::OpenSearch => write!(f, "OpenSearch {major}.{minor}.{patch}"),
        }
    }
}

/// Asks a cluster what it runs.
pub(super) async fn detect(nodes: &HttpNodes) -> Result<Server> {
    let answer = nodes.send(HttpRequest::get("/")).await?;
    let named = answer.header("x-elastic-product") == Some("Elasticsearch");
    if !answer.is_success() {
        return Err(failure::of_answer(nodes, answer));
    }
    let told = answer.json::<Told>().unwrap_or_default();
    match told.server(named) {
        Some(server) if server.disguised => undisguised(nodes, server, &told).await,
        Some(server) => match server.is_spoken() {
            true => Ok(server),
            false => {
                let message = format!("{}: {}", answer.request(), server.not_spoken());
                Err(Error::new(ErrorKind::Answer, message))
            }
        },
        None => {
            let what = told.what(answer.body(), answer.header("server"));
            let message = format!(
                "{}: what answers is neither Elasticsearch nor OpenSearch but {}; is the URL that of the cluster?",
                answer.request(),
                nodes.shown(&what)
            );
            Err(Error::new(ErrorKind::Answer, message))
        }
    }
}

/// An OpenSearch that gives another's version tells its own elsewhere; where we may not ask, Lucene's version gives it away.
async fn undisguised(nodes: &HttpNodes, mut server: Server, told: &Told) -> Result<Server> {
    #[derive(Deserialize)]
    struct Answer {
        nodes: std::collections::BTreeMap<String, Node>,
    }
    #[derive(Deserialize)]
    struct Node {
        version: String,
    }
    let request = HttpRequest::get("/_nodes").query("filter_path", "nodes.*.version");
    let versions = match nodes.send(request).await {
        Ok(answer) if answer.is_success() => answer.json::<Answer>().ok(),
        _ => None,
    };
    // While a cluster is upgraded, the oldest node decides what can be asked for.
    let nodes = versions.into_iter().flat_map(|answer| answer.nodes);
    let oldest = nodes.filter_map(|(_, node)| version(&node.version)).min();
    server.version = oldest.unwrap_or_else(|| {
        let lucene = version(&told.version.lucene_version).unwrap_or_default();
        (lucene.0.saturating_sub(7).clamp(1, 3), 0, 0)
    });
    match server.is_spoken() {
        true => Ok(server),
        false => Err(Error::new(ErrorKind::Answer, server.not_spoken())),
    }
}

/// The answer at the root.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    tagline: String,
    version: ToldVersion,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ToldVersion {
    number: String,
    distribution: String,
    build_flavor: String,
    lucene_version: String,
}

impl Told {
    fn server(&self, named: bool) -> Option<Server> {
        let told = &self.version;
        let number = version(&told.number)?;
        let opensearch = told.distribution == "opensearch";
        let disguised = !opensearch && self.tagline.starts_with("The OpenSearch Project");
        let elasticsearch = named || self.tagline == "You Know, for Search";
        let product = match (opensearch || disguised, elasticsearch) {
            (true, _) => Product::OpenSearch,
            (false, true) => Product::Elasticsearch,
            _ => return None,
        };
        Some(Server {
            product,
            version: number,
            serverless: told.build_flavor == "serverless",
            // Builds from Maven Central are of that distribution, and say "unknown".
            oss: matches!(&*told.build_flavor, "oss" | "unknown") && !named,
            disguised: product == Product::OpenSearch && !opensearch,
        })
    }

    /// A few words about something else.
    fn what(&self, body: &[u8], server: Option<&str>) -> String {
        let by = match server {
            Some(server) => format!(" from `{}`", shortened(server)),
            None => String::new(),
        };
        let body = String::from_utf8_lossy(&body[..body.len().min(2000)]);
        let title = body
            .split_once("<title>")
            .and_then(|(_, rest)| Some(rest.split_once("</title>")?.0));
        if !self.tagline.is_empty() {
            format!("`{}`{by}", shortened(&self.tagline))
        } else if let Some(title) = title {
            format!("the page `{}`{by}", shortened(title))
        } else if body.trim_start().starts_with('<') {
            format!("a page{by}")
        } else if body.trim().is_empty() {
            format!("nothing{by}")
        } else {
            format!("`{}`{by}", shortened(&body))
        }
    }
}

/// Reads `major.minor.patch` with whatever follows.
fn version(text: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = text.split(['.', '-', '+']).map(|part| part.parse().ok());
    let (major, minor) = (numbers.next()??, numbers.next()??);
    Some((major, minor, numbers.next().flatten().unwrap_or(0)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_with_what_follows_them() {
        for (text, expected) in [
            ("7.10.2", Some((7, 10, 2))),
            ("8.0.0-SNAPSHOT", Some((8, 0, 0))),
            ("3.0.0-alpha1", Some((3, 0, 0))),
            ("9.12", Some((9, 12, 0))),
            ("4294967296.0.0", None),
            ("", None),
            ("seven", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
    }

    #[test]
    fn versions_that_are_not_spoken_are_refused() {
        for (product, major, spoken) in [
            (Product::Elasticsearch, 6, false),
            (Product::Elasticsearch, 9, true),
            (Product::OpenSearch, 3, true),
            (Product::OpenSearch, 4, false),
        ] {
            let server = Server::new(product, (major, 8, 0));
            assert_eq!(server.is_ok(), spoken, "{product:?} {major}");
        }
    }

    #[test]
    fn points_in_time_are_where_their_release_notes_say() {
        let at = |product, version| Server::new(product, version).unwrap().has_points_in_time();
        assert!(!at(Product::OpenSearch, (2, 3, 0)));
        assert!(at(Product::OpenSearch, (2, 4, 0)));
        assert!(!at(Product::Elasticsearch, (7, 9, 3)));
        assert!(at(Product::Elasticsearch, (8, 0, 0)));
    }

    #[test]
    fn intervals_have_the_name_that_their_release_notes_say() {
        let at = |product, version| Server::new(product, version).unwrap().has_fixed_interval();
        assert!(!at(Product::Elasticsearch, (7, 1, 1)));
        assert!(at(Product::Elasticsearch, (7, 2, 0)));
        assert!(at(Product::OpenSearch, (1, 0, 0)));
    }
}
