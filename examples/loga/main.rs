//! Logs in a terminal: shows, follows, counts, for those who ran malnick/logasaurus and for everybody else.
//!
//! ```text
//! cargo run --example loga -- -d 'level:error AND nginx'                       # as Logasaurus: follows, loga.yaml is read
//! cargo run --example loga -- --lucene 'level:error' --since 2h --output json  # answers and ends
//! cargo run --example loga -- --lucene 'level:error' --follow --cluster eu=https://eu:9200 --cluster us=https://us:9200
//! ```
//!
//! Exit status: 0, 1 where something went wrong, 2 for a command line that is not understood. A signal ends what follows
//! with 0, and with 130 (SIGINT) or 143 (SIGTERM) an answer that is then not whole.

mod arguments;
mod clusters;
#[path = "../support/command_line.rs"]
#[expect(dead_code, reason = "the example `seal` uses all of it")]
mod command_line;
mod config;
mod follow;
mod look;
mod once;
#[path = "../support/output.rs"]
#[expect(dead_code, reason = "the example `seal` uses all of it")]
mod output;
#[path = "../support/passphrase.rs"]
#[expect(dead_code, reason = "the example `seal` uses all of it")]
mod passphrase;
mod query;
mod settings;
mod show;
mod switches;
mod times;

use std::process::ExitCode;

use arguments::Asked;
use clusterops::logs::ErrorKind;
use command_line::Misused;
use output::{Unwritten, print, warn};
use settings::{Access, What};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(code) => code,
        Err(error) if error.downcast_ref().is_some_and(Unwritten::is_closed) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&*error);
            ExitCode::from(if error.is::<Misused>() { 2 } else { 1 })
        }
    }
}

/// Says on standard error what went wrong, and why: what the libraries below ours say on the way to the last cause tells
/// nobody more.
fn complain(error: &dyn std::error::Error) {
    // By the names that things have here.
    let said = error
        .to_string()
        .replace(
            "`HttpOptions::authority` (or `client_certificate`)",
            "--ca (or --cert and --key)",
        )
        .replace("`HttpOptions::client_certificate`", "--cert and --key");
    warn(format_args!("loga: {said}"));
    let causes = std::iter::successors(error.source(), |error| error.source());
    for cause in causes {
        if cause.is::<clusterops::logs::Error>() || cause.source().is_none() {
            warn(format_args!("  because {cause}"));
        }
    }
}

/// An error with what to do about it, where a server refuses those whose name it does not know.
fn with_advice(error: Box<dyn std::error::Error>, access: &Access) -> Box<dyn std::error::Error> {
    let is_denied = error
        .downcast_ref()
        .is_some_and(|error: &clusterops::logs::Error| {
            matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::Denied)
        });
    match is_denied && access.identities.is_empty() {
        true => format!("{error}; --user NAME or --api-key-env VARIABLE says who we are").into(),
        false => error,
    }
}

async fn run() -> command_line::Result<ExitCode> {
    let asked = match arguments::read(std::env::args_os().skip(1))? {
        Asked::Text(text) => {
            print(text)?;
            return Ok(ExitCode::SUCCESS);
        }
        Asked::Something(asked) => asked,
    };
    // What is wrong with the query is told before anybody is asked.
    asked.wanted(None)?;
    let clusters = clusters::connect(&asked)?;
    if asked.is_printed {
        query::print_all(&asked, &clusters).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if asked.is_verbose {
        warn(format_args!("loga: {}", asked.described()));
    }
    if matches!(asked.what, What::Follow | What::Lines) {
        once::end_when_told()?;
    }
    let outcome = match &asked.what {
        What::Follow => follow::run(&asked, &clusters).await,
        What::Lines => once::run(&asked, &clusters).await,
        What::Context(_) | What::Count | What::Histogram | What::Top(_) => {
            look::run(&asked, &clusters).await
        }
    };
    outcome.map_err(|error| with_advice(error, &asked.access))
}
