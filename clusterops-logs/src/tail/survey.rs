//! What shards there are, and how far each has come.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use clusterops_core::http::HttpRequest;
use serde::Deserialize;
use serde_json::Value;

use super::token::Shard;
use crate::search::Shards;
use crate::{Client, Result};

/// The shards that an expression means, as the primaries tell of themselves.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) shards: BTreeMap<Shard, Primary>,
    /// The names of the indices, by their uuids.
    pub(super) names: HashMap<String, String>,
    /// How many copies did not say how they are.
    pub(super) silent: u32,
}

/// One shard; without a primary that works, there is no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Primary {
    pub(super) node: String,
    pub(super) history: String,
    /// All operations up to this number are on every copy that counts.
    pub(super) checkpoint: i64,
    /// The highest number given to an operation.
    pub(super) highest: i64,
    /// All operations up to this number are in its last commit; -1 where that is not told.
    pub(super) committed: i64,
    /// How often the primary has been refreshed for searches.
    pub(super) refreshes: u64,
}

/// What an index is, beyond its shards.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) created_ms: i64,
    pub(super) shards: u32,
    /// The uuid of the index that this one was made of by shrinking, splitting or cloning.
    pub(super) made_of: Option<String>,
    /// The name of the index that this one shows from a snapshot; its own where that is not told.
    pub(super) mounted: Option<String>,
    pub(super) closed: bool,
    /// Whether nothing can be written to it.
    pub(super) blocked: bool,
}

/// How a search over the expression would reach an index.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Reach {
    /// The filter of the aliases that lead to it.
    pub(super) filter: Option<Value>,
    /// The shards that the aliases' routing leads to.
    pub(super) shards: BTreeSet<u32>,
}

#[derive(Deserialize)]
struct StatsAnswer {
    #[serde(default)]
    indices: HashMap<String, IndexStats>,
    #[serde(rename = "_shards", default)]
    shards: Shards,
}

#[derive(Deserialize)]
struct IndexStats {
    uuid: Option<String>,
    #[serde(default)]
    shards: HashMap<u32, Vec<CopyStats>>,
}

#[derive(Deserialize)]
struct CopyStats {
    routing: Routing,
    seq_no: Option<SeqNo>,
    commit: Option<Commit>,
    refresh: Option<Refresh>,
}

#[derive(Deserialize)]
struct Routing {
    state: String,
    primary: bool,
    node: Option<String>,
}

#[derive(Deserialize)]
struct SeqNo {
    max_seq_no: i64,
    global_checkpoint: i64,
}

#[derive(Deserialize)]
struct Commit {
    user_data: UserData,
}

#[derive(Deserialize)]
struct UserData {
    history_uuid: Option<String>,
    local_checkpoint: Option<String>,
}

#[derive(Deserialize)]
struct Refresh {
    external_total: Option<u64>,
    total: Option<u64>,
}

impl Survey {
    /// Reads the statistics of the shards (`GET INDICES/_stats?level=shards`).
    pub(super) async fn read(client: &Client, indices: &str) -> Result<Self> {
        const WANTED: &str = "indices.*.uuid,indices.*.shards.*.routing,indices.*.shards.*.seq_no,\
            indices.*.shards.*.commit.user_data.history_uuid,\
            indices.*.shards.*.commit.user_data.local_checkpoint,indices.*.shards.*.refresh.external_total,\
            indices.*.shards.*.refresh.total,_shards.failed";
        let request = HttpRequest::get("/")
            .segment(indices)
            .segment("_stats")
            .segment("refresh")
            .query("level", "shards")
            .query("ignore_unavailable", "true")
            .query("filter_path", WANTED);
        let answer: StatsAnswer = client.json(request).await?;
        let mut survey = Self {
            silent: answer.shards.failed,
            ..Self::default()
        };
        for (name, index) in answer.indices {
            let Some(uuid) = index.uuid else { continue };
            for (number, copies) in index.shards {
                let shard = Shard {
                    index: uuid.clone(),
                    number,
                };
                if let Some(primary) = copies.into_iter().find_map(Primary::of) {
                    survey.shards.insert(shard, primary);
                }
            }
            survey.names.insert(uuid, name);
        }
        Ok(survey)
    }

    /// Adds what another one shows.
    pub(super) fn extend(&mut self, other: Self) {
        self.shards.extend(other.shards);
        self.names.extend(other.names);
        self.silent += other.silent;
    }
}

impl Primary {
    fn of(copy: CopyStats) -> Option<Self> {
        let works = matches!(copy.routing.state.as_str(), "STARTED" | "RELOCATING");
        if !copy.routing.primary || !works {
            return None;
        }
        let seq_no = copy.seq_no?;
        // -2 is a checkpoint that nobody knows yet.
        if seq_no.global_checkpoint < -1 {
            return None;
        }
        let committed = copy.commit?.user_data;
        Some(Self {
            node: copy.routing.node?,
            history: committed.history_uuid?,
            checkpoint: seq_no.global_checkpoint,
            highest: seq_no.max_seq_no,
            committed: committed
                .local_checkpoint
                .and_then(|number| number.parse().ok())
                .unwrap_or(-1),
            refreshes: copy
                .refresh
                .and_then(|refresh| refresh.external_total.or(refresh.total))
                .unwrap_or_default(),
        })
    }
}

/// What the indices are, by uuid; closed ones too (`GET INDICES/_settings`).
pub(super) async fn facts(client: &Client, indices: &str) -> Result<HashMap<String, Facts>> {
    #[derive(Deserialize)]
    struct Answer {
        settings: HashMap<String, Value>,
    }
    let request = HttpRequest::get("/")
        .segment(indices)
        .segment("_settings")
        .query("flat_settings", "true")
        .query("ignore_unavailable", "true")
        .query("expand_wildcards", "all");
    let answer: HashMap<String, Answer> = client.json(request).await?;
    let read = |(name, Answer { settings }): (String, Answer)| {
        let text = |name: &str| settings.get(name).and_then(Value::as_str);
        let number = |name: &str| text(name).and_then(|text| text.parse::<i64>().ok());
        let mounted = matches!(
            text("index.store.type"),
            Some("snapshot" | "remote_snapshot")
        )
        .then(|| {
            text("index.store.snapshot.index_name")
                .unwrap_or(&name)
                .to_owned()
        });
        let is_set = |name: &str| text(name) == Some("true");
        let facts = Facts {
            created_ms: number("index.creation_date").unwrap_or_default(),
            shards: number("index.number_of_shards")
                .and_then(|number| u32::try_from(number).ok())
                .unwrap_or_default(),
            made_of: text("index.resize.source.uuid").map(str::to_owned),
            mounted,
            closed: is_set("index.verified_before_close"),
            blocked: is_set("index.blocks.write") || is_set("index.blocks.read_only"),
        };
        Some((text("index.uuid")?.to_owned(), facts))
    };
    Ok(answer.into_iter().filter_map(read).collect())
}

/// What an index is, where its documents are found by their times.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) uuid: Option<String>,
    /// The name of the index whose documents it holds copies of: it was shrunk, split or cloned, or that one is in the
    /// snapshot that it shows.
    pub(super) copied: Option<String>,
}

/// What the indices are, by their names (`GET INDICES/_settings`).
pub(super) async fn sources(client: &Client, indices: &str) -> Result<BTreeMap<String, Source>> {
    const WANTED: &str = "*.settings.index.uuid,*.settings.index.resize.source.name,*.settings.index.store.type,\
        *.settings.index.store.snapshot.index_name";
    let request = HttpRequest::get("/")
        .segment(indices)
        .segment("_settings")
        .query("ignore_unavailable", "true")
        .query("filter_path", WANTED);
    let answer: BTreeMap<String, Value> = client.json(request).await?;
    let source = |(name, answer): (String, Value)| {
        let text = |path: &str| {
            let text = answer.pointer(&format!("/settings/index/{path}"));
            text.and_then(Value::as_str).map(str::to_owned)
        };
        let is_mounted = matches!(
            text("store/type").as_deref(),
            Some("snapshot" | "remote_snapshot")
        );
        let mounted = || text("store/snapshot/index_name").filter(|_| is_mounted);
        let source = Source {
            uuid: text("uuid"),
            copied: text("resize/source/name").or_else(mounted),
        };
        (name, source)
    };
    Ok(answer.into_iter().map(source).collect())
}

/// Whether searches of a copy show all that is in its last commit (`GET INDEX/_segments`).
pub(super) async fn shows_commit(
    client: &Client,
    shard: &Shard,
    name: &str,
    node: &str,
) -> Result<bool> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        indices: HashMap<String, Index>,
    }
    #[derive(Deserialize)]
    struct Index {
        shards: HashMap<u32, Vec<Copy>>,
    }
    #[derive(Deserialize)]
    struct Copy {
        routing: Routing,
        #[serde(default)]
        segments: HashMap<String, Segment>,
    }
    #[derive(Deserialize)]
    struct Segment {
        committed: bool,
        search: bool,
    }
    const WANTED: &str = "indices.*.shards.*.routing,indices.*.shards.*.segments.*.committed,\
        indices.*.shards.*.segments.*.search";
    let request = HttpRequest::get("/")
        .segment(name)
        .segment("_segments")
        .query("filter_path", WANTED);
    let mut answer: Answer = client.json(request).await?;
    let index = answer.indices.remove(name);
    let copies = index.and_then(|mut index| index.shards.remove(&shard.number));
    let is_meant = |copy: &Copy| copy.routing.primary && copy.routing.node.as_deref() == Some(node);
    let copy = copies.into_iter().flatten().find(is_meant);
    Ok(copy.is_some_and(|copy| {
        let mut segments = copy.segments.values();
        segments.all(|segment| segment.search || !segment.committed)
    }))
}

/// How a search over the expression reaches each index, by its name (`GET INDICES/_search_shards`).
pub(super) async fn reach(client: &Client, indices: &str) -> Result<HashMap<String, Reach>> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        indices: HashMap<String, Filter>,
        #[serde(default)]
        shards: Vec<Vec<Copy>>,
    }
    #[derive(Deserialize)]
    struct Filter {
        filter: Option<Value>,
    }
    #[derive(Deserialize)]
    struct Copy {
        index: String,
        shard: u32,
    }
    let request = HttpRequest::get("/")
        .segment(indices)
        .segment("_search_shards")
        .query("ignore_unavailable", "true")
        .query("filter_path", "indices,shards.index,shards.shard");
    let answer: Answer = client.json(request).await?;
    let mut reached: HashMap<String, Reach> = HashMap::new();
    for (name, Filter { filter }) in answer.indices {
        reached.entry(name).or_default().filter = filter;
    }
    for copy in answer
        .shards
        .into_iter()
        .filter_map(|copies| copies.into_iter().next())
    {
        reached
            .entry(copy.index)
            .or_default()
            .shards
            .insert(copy.shard);
    }
    Ok(reached)
}
