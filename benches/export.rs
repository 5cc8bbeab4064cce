//! `cargo bench --bench export`: a million log documents out of a real OpenSearch into a file, beside curl and elasticdump.
//!
//! curl fetches the same pages of the same size over one connection that is kept open. It is spared what our export has to
//! do between them: the bodies of its requests, with the places that each page begins behind, are written down before.
//! Both are measured without compression, which costs more than loopback does, and beside it with gzip, our default.
//! elasticdump (from npm, below the target folder) writes the same documents by its own means, with pages of the same size.
//! A tenth of them is exported too, which takes the same memory. Each candidate is a process of its own, and they take turns. CLUSTEROPS_BENCH_DOCUMENTS sets another number of documents.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "support/mod.rs"]
mod bench;

use bench::figures::{Candidate, cpu, peak, rounded, wall};
use bench::servers::Servers;
use bench::{Result, measure, on_two_threads, project, run, target_folder};
use clusterops::http::{HttpOptions, HttpRequest};
use clusterops::logs::export::{Export, Format};
use clusterops::logs::{Client, Indices, Query};
use serde_json::{Value, json};

const DOCUMENTS: u64 = 1_000_000;
const ROUNDS: usize = 5;
const PAGE: u32 = 5000;
const INDEX: &str = "logs";
/// The documents are a millisecond apart.
const FIRST_TIME: u64 = 1_767_225_600_000;

/// The first argument with which the benchmark calls itself to export once, or not at all.
const EXPORT_MODE: &str = "export";
const NOTHING_MODE: &str = "nothing";

/// Whether answers are asked for with gzip, which is the client's default and does not pay on loopback.
const PLAIN: &str = "plain";
const GZIP: &str = "gzip";

fn main() -> Result<()> {
    bench::dispatch(|mode, rest| match (mode, rest) {
        (Some(EXPORT_MODE), [url, slices, wire, documents, file]) => {
            let documents = documents.parse()?;
            on_two_threads()?.block_on(export_once(url, slices, wire, documents, file))
        }
        (Some(NOTHING_MODE), _) => Ok(()),
        _ => on_two_threads()?.block_on(compare()),
    })
}

async fn compare() -> Result<()> {
    let documents = match std::env::var("CLUSTEROPS_BENCH_DOCUMENTS") {
        Ok(number) => number.parse()?,
        Err(_) => DOCUMENTS,
    };
    let elasticdump = elasticdump()?;
    let servers = Servers::start("opensearch-2", 1, 1024)?;
    let url = servers.nodes.first().ok_or("there is a node")?.url.clone();
    let client = Client::new(&[&url], HttpOptions::default())?;
    fill(&client, documents).await?;

    let folder = tempfile::Builder::new()
        .prefix("export-")
        .tempdir_in(target_folder()?)?;
    let config = curl_config(&client, &url, folder.path()).await?;
    let compressed = config.with_extension("gzip");
    let text = std::fs::read_to_string(&config)?;
    std::fs::write(
        &compressed,
        text.replace("silent\n", "silent\ncompressed\n"),
    )?;
    let program = std::env::current_exe()?.display().to_string();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let own = |slices: &str, wire: &str, documents: u64, name: &str| {
        let (documents, file) = (documents.to_string(), file(name));
        let words = [&program, EXPORT_MODE, &url, slices, wire, &documents, &file];
        words.map(str::to_owned).to_vec()
    };
    let dump = format!(
        "rm -f {out} && exec node {elasticdump} --quiet --input={url}/{INDEX} --output={out} --type=data --limit={PAGE}",
        out = file("elasticdump"),
        elasticdump = elasticdump.display(),
    );
    let curl = |config: &Path| {
        let words = ["curl", "--config", &config.display().to_string()];
        words.map(str::to_owned).to_vec()
    };
    let mut candidates = [
        Candidate::new("export", own("1", PLAIN, documents, "own")),
        Candidate::new("curl", curl(&config)),
        Candidate::new("export, 2 slices", own("2", PLAIN, documents, "own")),
        Candidate::new("export, gzip", own("1", GZIP, documents, "own")),
        Candidate::new("curl, gzip", curl(&compressed)),
        Candidate::new("elasticdump", vec!["/bin/sh".into(), "-c".into(), dump]),
        Candidate::new(
            "export of a tenth",
            own("1", PLAIN, documents / 10, "tenth"),
        ),
        Candidate::new("nothing", vec![program.clone(), NOTHING_MODE.into()]),
    ];
    println!("{documents} documents in pages of {PAGE}, {ROUNDS} rounds after one to warm up");
    measure::in_turn(&mut candidates, ROUNDS)?;
    check(folder.path(), documents)?;

    println!(
        "{:<20}{:>10}{:>14}{:>10}{:>12}",
        "median", "wall s", "documents/s", "CPU s", "peak MiB"
    );
    for candidate in &candidates {
        let seconds = candidate.median(wall);
        println!(
            "{:<20}{seconds:>10.3}{:>14.0}{:>10.3}{:>12.1}",
            candidate.name,
            match candidate.name {
                "export of a tenth" => documents / 10,
                _ => documents,
            } as f64
                / seconds,
            candidate.median(cpu),
            candidate.median(peak),
        );
    }
    let [own, curl, _, _, _, dump, tenth, _] = &candidates;
    let figures = json!({
        "documents": documents,
        "vs_curl": rounded(own.ratio(curl, wall)),
        "vs_elasticdump": rounded(own.ratio(dump, wall)),
        "peak_mb": rounded(own.median(peak) * 1.048_576),
        "peak_mb_of_a_tenth": rounded(tenth.median(peak) * 1.048_576),
    });
    println!("{figures}");
    Ok(())
}

/// What is compared: every document into a file.
async fn export_once(
    url: &str,
    slices: &str,
    wire: &str,
    documents: u64,
    file: &str,
) -> Result<()> {
    let _ = std::fs::remove_file(file);
    let client = Client::new(&[url], HttpOptions::default().gzip(wire == GZIP))?;
    let query = Query::raw(json!({"range": {"@timestamp": {"lt": FIRST_TIME + documents}}}));
    let export = export(&client, query)?.slices(slices.parse()?);
    let summary = export.to_file(file, &Format::ndjson(), |_| {}).await?;
    match summary.is_whole() && summary.frozen {
        true => Ok(()),
        false => Err(format!("{summary:?}").into()),
    }
}

fn export(client: &Client, query: Query) -> Result<Export> {
    Ok(Export::new(client, &Indices::new(INDEX)?, query).page_size(PAGE))
}

/// Makes the index.
async fn fill(client: &Client, documents: u64) -> Result<()> {
    println!("indexing {documents} documents");
    let settings = json!({
        "settings": {
            "number_of_shards": 2,
            "number_of_replicas": 0,
            "refresh_interval": "-1",
            "translog.durability": "async",
        },
        "mappings": {"properties": {
            "@timestamp": {"type": "date"},
            "message": {"type": "text"},
            "status": {"type": "short"},
            "trace": {"properties": {"id": {"type": "keyword"}}},
            "host": {"properties": {"name": {"type": "keyword"}}},
            "service": {"properties": {"name": {"type": "keyword"}}},
            "log": {"properties": {"level": {"type": "keyword"}}},
        }},
    });
    client
        .send(
            HttpRequest::put("/")
                .segment(INDEX)
                .json(&settings.to_string().into()),
        )
        .await?;
    let mut writers = tokio::task::JoinSet::new();
    const WRITERS: u64 = 3;
    for writer in 0..WRITERS {
        let client = client.clone();
        writers.spawn(async move {
            let mut random = fastrand::Rng::with_seed(writer);
            let mut at = writer * u64::from(PAGE);
            while at < documents {
                let body = bulk(at..(at + u64::from(PAGE)).min(documents), &mut random);
                let request = HttpRequest::post("/")
                    .segment(INDEX)
                    .segment("_bulk")
                    .json(&body.into());
                let answer: Value = client.json(request).await?;
                if answer["errors"] != false {
                    return Err("a document was refused".into());
                }
                at += WRITERS * u64::from(PAGE);
            }
            Result::Ok(())
        });
    }
    while let Some(outcome) = writers.join_next().await {
        outcome??;
    }
    for what in ["_refresh", "_flush"] {
        client
            .send(HttpRequest::post("/").segment(INDEX).segment(what))
            .await?;
    }
    Ok(())
}

/// Lines such as services write, of about 400 bytes.
fn bulk(numbers: std::ops::Range<u64>, random: &mut fastrand::Rng) -> String {
    const WORDS: [&str; 16] = [
        "connection",
        "refused",
        "timeout",
        "upstream",
        "request",
        "finished",
        "user",
        "login",
        "failed",
        "cache",
        "miss",
        "retry",
        "backend",
        "database",
        "slow",
        "moved",
    ];
    let mut body = String::new();
    for number in numbers {
        let mut message = String::new();
        for _ in 0..20 {
            message.push_str(random.choice(WORDS).unwrap_or_default());
            message.push(' ');
        }
        let document = json!({
            "@timestamp": FIRST_TIME + number,
            "message": message,
            "log": {"level": random.choice(["info", "warn", "error"])},
            "host": {"name": format!("host{:02}", random.u8(..40))},
            "service": {"name": format!("service{}", random.u8(..9))},
            "trace": {"id": format!("{:032x}", random.u128(..))},
            "status": random.choice([200, 404, 500]),
        });
        // Writing to a String cannot fail.
        let _ = writeln!(body, "{{\"index\":{{}}}}\n{document}");
    }
    body
}

/// Writes down what curl is to fetch: our pages, each into a file.
async fn curl_config(client: &Client, url: &str, folder: &Path) -> Result<PathBuf> {
    let open = HttpRequest::post("/")
        .segment(INDEX)
        .segment("_search")
        .segment("point_in_time");
    let opened: Value = client.json(open.query("keep_alive", "10h")).await?;
    let id = opened["pit_id"]
        .as_str()
        .ok_or("a point in time has an id")?;
    let mut after: Option<Value> = None;
    let mut config = String::from("silent\nshow-error\nfail\n");
    let mut pages = export(client, Query::match_all())?.start().await?;
    let mut number = 0;
    loop {
        let mut body = json!({
            "pit": {"id": id, "keep_alive": "10h"},
            "query": {"bool": {"filter": [{"match_all": {}}]}},
            "size": PAGE,
            "sort": [{"_seq_no": {"order": "asc", "unmapped_type": "long"}}],
            "track_total_hits": false,
        });
        if let Some(after) = after.take() {
            body["search_after"] = after;
        }
        let quoted = body.to_string().replace('\\', "\\\\").replace('"', "\\\"");
        let next = if number > 0 {
            "next\nsilent\nshow-error\nfail\n"
        } else {
            ""
        };
        let output = folder.join(format!("page{number}"));
        writeln!(
            config,
            "{next}url = \"{url}/_search?allow_partial_search_results=false\"\nheader = \"content-type: application/json\"\n\
             data = \"{quoted}\"\noutput = \"{}\"",
            output.display()
        )?;
        number += 1;
        let Some(page) = pages.next().await? else {
            break;
        };
        let last = page.hits().last().ok_or("a page has hits")?;
        let last: Value = serde_json::from_slice(last.whole())?;
        after = Some(last["sort"].clone());
    }
    let path = folder.join("curl");
    std::fs::write(&path, config)?;
    Ok(path)
}

/// Counts what each has fetched in the last round.
fn check(folder: &Path, documents: u64) -> Result<()> {
    for name in ["own", "elasticdump"] {
        let lines = BufReader::new(std::fs::File::open(folder.join(name))?).split(b'\n');
        let lines = lines.count() as u64;
        if lines != documents {
            return Err(format!("{name} has {lines} documents").into());
        }
    }
    let mut ids = std::collections::HashSet::new();
    for number in 0.. {
        let Ok(page) = std::fs::read(folder.join(format!("page{number}"))) else {
            break;
        };
        let page: Value = serde_json::from_slice(&page)?;
        for hit in page["hits"]["hits"].as_array().ok_or("a page has hits")? {
            ids.insert(hit["_id"].as_str().unwrap_or_default().to_owned());
        }
    }
    if ids.len() as u64 != documents {
        return Err(format!("curl has {} documents", ids.len()).into());
    }
    Ok(())
}

/// Installs elasticdump the first time; gives its program.
fn elasticdump() -> Result<PathBuf> {
    let modules = target_folder()?.join("elasticdump");
    let from = project("benches/peers/elasticdump");
    let program = modules.join("node_modules/elasticdump/bin/elasticdump");
    let wanted = std::fs::read(from.join("package-lock.json"))?;
    if std::fs::read(modules.join("made-from")).is_ok_and(|made| made == wanted) && program.exists()
    {
        return Ok(program);
    }
    println!("installing elasticdump in {}", modules.display());
    let _ = std::fs::remove_dir_all(&modules);
    std::fs::create_dir_all(&modules)?;
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(from.join(name), modules.join(name))?;
    }
    run(Command::new("npm")
        .args(["ci", "--silent", "--prefix"])
        .arg(&modules))?;
    std::fs::write(modules.join("made-from"), wanted)?;
    Ok(program)
}
