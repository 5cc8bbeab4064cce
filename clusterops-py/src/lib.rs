//! The native module of the Python package `clusterops`.
//!
//! It converts, and decides nothing: what a class does stands in the documentation of the Rust type of the same name.
//! Every call that waits has two forms over one future: the module `runtime` tells how. What it exports stands in
//! `python/clusterops/_clusterops.pyi` too, and `tests/run python` compares the two.

mod call;
mod command;
mod config;
mod connector;
mod credentials;
mod errors;
mod event;
mod fleet;
mod gathered;
mod groups;
mod handing;
mod host_report;
mod hostset;
mod inventory;
mod journal;
mod logging;
mod options;
mod output;
mod owned;
mod plan;
mod process;
mod report;
mod run;
mod runtime;
mod script;
mod session;
mod session_options;
mod shard;
mod sim;
mod sim_command;
mod stop;
mod stream;
mod table;
mod target;
mod transfer;
mod words;

// Sealed documents, and what deploys them.
mod deploy;
mod dry_run;
mod edit;
mod exec;
mod http;
mod identity;
mod keys;
mod opened;
mod recipients;
mod resealing;
mod review;
mod sealed_file;
mod sealing;
mod secret;
mod signing;

// Logs in OpenSearch and Elasticsearch.
mod logs;

use pyo3::prelude::*;

/// The native part of clusterops; use the package `clusterops`.
#[pymodule(gil_used = false)]
mod _clusterops {
    use super::{Bound, PyModule, PyResult, begin};

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        begin(module)
    }

    #[pymodule_export]
    use crate::config::{ConfigLine, HostConfig, SshConfig};
    #[pymodule_export]
    use crate::connector::Connector;
    #[pymodule_export]
    use crate::errors::_error_kinds;
    #[pymodule_export]
    use crate::event::{HostEvent, OutputEvent, RunEvent, TransferEvent};
    #[pymodule_export]
    use crate::fleet::{Fleet, Rollout, arun, run};
    #[pymodule_export]
    use crate::gathered::{Answer, Gathered};
    #[pymodule_export]
    use crate::groups::Groups;
    #[pymodule_export]
    use crate::host_report::{HostReport, StageReport};
    #[pymodule_export]
    use crate::hostset::HostSet;
    #[pymodule_export]
    use crate::inventory::Inventory;
    #[pymodule_export]
    use crate::journal::Journal;
    #[pymodule_export]
    use crate::output::Output;
    #[pymodule_export]
    use crate::plan::{Plan, RunAs, Step};
    #[pymodule_export]
    use crate::process::{Chunk, Process};
    #[pymodule_export]
    use crate::report::Report;
    #[pymodule_export]
    use crate::run::{AsyncRun, Run, RunControl};
    #[pymodule_export]
    use crate::script::Script;
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::session_options::SessionOptions;
    #[pymodule_export]
    use crate::shard::{_Shard, _start_shard};
    #[pymodule_export]
    use crate::sim::{SimulatedFleet, SimulatedHost};
    #[pymodule_export]
    use crate::sim_command::{SimulatedAnswer, SimulatedCommand};
    #[pymodule_export]
    use crate::stream::Stream;
    #[pymodule_export]
    use crate::target::Target;
    #[pymodule_export]
    use crate::transfer::Transferred;

    #[pymodule_export]
    use crate::deploy::{Deploy, Deployed, Marathon};
    #[pymodule_export]
    use crate::dry_run::{Change, DryRun, adry_run, dry_run};
    #[pymodule_export]
    use crate::edit::{aedit, edit};
    #[pymodule_export]
    use crate::exec::{aexec_and_wait, exec, exec_and_wait};
    #[pymodule_export]
    use crate::keys::{PrivateKey, PublicKey};
    #[pymodule_export]
    use crate::opened::{Opened, aextract, aopen, extract, open};
    #[pymodule_export]
    use crate::recipients::{Recipients, RecipientsFile};
    #[pymodule_export]
    use crate::resealing::{Resealed, acompact, areseal, arotate, compact, reseal, rotate};
    #[pymodule_export]
    use crate::review::{Finding, Merged, amerge_opened, check, merge, merge_opened, show};
    #[pymodule_export]
    use crate::sealed_file::SealedFile;
    #[pymodule_export]
    use crate::sealing::{Sealed, Unsealed, seal, seal_paths, set};
    #[pymodule_export]
    use crate::secret::Secret;
    #[pymodule_export]
    use crate::signing::{SigningKey, VerifyingKey, sign, sign_file, verify, verify_file};

    #[pymodule_export]
    use crate::logs::{
        Aggregation, Bulk, BulkItem, Client, Excerpt, Export, ExportMerge, ExportPage, ExportPages,
        ExportProgress, ExportSummary, Fields, Histogram, Hit, LogServer, Look, Notice, Page, Pit,
        Query, Renderer, Tail, TailBatch, TailDocument, TailEvent, TailMerge, Top, Validation,
        escape_kql, escape_lucene,
    };
}

/// What is set up once, by the import.
fn begin(module: &Bound<'_, PyModule>) -> PyResult<()> {
    logging::install();
    let part = wrap_pyfunction!(runtime::part, module)?;
    let at_exit = module.py().import("atexit")?;
    at_exit.call_method1("register", (part,))?;
    Ok(())
}
