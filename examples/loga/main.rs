//! Logs in a terminal: shows, follows, counts, for those who ran malnick/logasaurus and for everybody else.
//!
//! ```text
//! cargo run --example loga -- -d 'level:error AND nginx'                       # as Logasaurus: follows, loga.yaml is read
//! cargo run --example loga -- --lucene 'level:error' --since 2h --output json  # answers and ends
//! cargo run --example loga -- --lucene 'level:error' --follow --cluster eu=https://eu:9200 --cluster us=https://us:9200
//! ```
//!
//! Exit status: 0, 1 where something went wrong, 2 for a command line that is not understood.

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
use command_line::Misused;
use output::{Unwritten, print, warn};
use settings::What;

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

/// Says on standard error what went wrong, and why.
fn complain(error: &dyn std::error::Error) {
    warn(format_args!("loga: {error}"));
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.for_each(|cause| warn(format_args!("  because {cause}")));
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
    match &asked.what {
        What::Follow => follow::run(&asked, &clusters).await,
        What::Lines => once::run(&asked, &clusters).await,
        What::Context(_) | What::Count | What::Histogram | What::Top(_) => {
            look::run(&asked, &clusters).await
        }
    }
}
