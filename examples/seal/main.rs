//! Sealed secrets in a terminal: each thing that people do with them, as a subcommand.
//!
//! ```text
//! cargo run --example seal                                    # walks through all of them, in a folder of its own
//! cargo run --example seal -- help
//! cargo run --example seal -- set prod/web.json /env/DB_PASSWORD <password
//! ```

#[path = "../support/command_line.rs"]
mod command_line;
mod commands;
#[path = "../support/keys.rs"]
mod keys;
#[path = "../support/output.rs"]
mod output;
#[path = "../support/passphrase.rs"]
mod passphrase;
#[path = "../support/sealing.rs"]
mod sealing;
mod walk;

use std::process::ExitCode;

use clusterops::secrets::harden_process;
use command_line::{Asked, Misused, Program, Subcommand, Switch};
use keys::{PLAIN, SIGNING};
use output::{Unwritten, print, warn};
use sealing::{FORMAT, ID, KEY, PASSPHRASE, PIN, RECIPIENTS, SIGNER};

const NEW_ID: Switch = Switch::of(
    "--new-id",
    "ID",
    "which document it is from now on; where its `id` at the root says the old one, that changes too",
);

const EMPTY: Switch = Switch::flag("--empty", "the value may be empty");

const PROGRAM: Program = Program {
    name: "seal",
    alone: Some("walks through everything, in a temporary folder"),
    subcommands: &[
        Subcommand {
            name: "generate",
            words: "FILE",
            about: "a new key pair: FILE and FILE.pub",
            options: &[&PASSPHRASE, &SIGNING, &PLAIN],
        },
        Subcommand {
            name: "seal",
            words: "FILE [PATH...]",
            about: "seals what is marked ENC[name:value], or what stands at the paths",
            options: &[&RECIPIENTS, &PIN, &ID, &FORMAT],
        },
        Subcommand {
            name: "set",
            words: "FILE PATH",
            about: "adds or replaces a value, read from standard input, or asked for at a terminal",
            options: &[&RECIPIENTS, &PIN, &ID, &FORMAT, &EMPTY],
        },
        Subcommand {
            name: "extract",
            words: "FILE PATH",
            about: "prints one value",
            options: &[&KEY, &PASSPHRASE, &ID, &FORMAT],
        },
        Subcommand {
            name: "open",
            words: "FILE",
            about: "prints the opened document",
            options: &[&KEY, &PASSPHRASE, &ID, &FORMAT],
        },
        Subcommand {
            name: "edit",
            words: "FILE",
            about: "opens $VISUAL or $EDITOR on a copy in memory",
            options: &[&KEY, &PASSPHRASE, &RECIPIENTS, &PIN, &ID, &FORMAT],
        },
        Subcommand {
            name: "rotate",
            words: "FILE",
            about: "new keys for the same recipients",
            options: &[&KEY, &PASSPHRASE, &RECIPIENTS, &PIN, &ID, &FORMAT],
        },
        Subcommand {
            name: "compact",
            words: "FILE",
            about: "one epoch in place of several",
            options: &[&KEY, &PASSPHRASE, &RECIPIENTS, &PIN, &ID, &FORMAT],
        },
        Subcommand {
            name: "reseal",
            words: "FILE",
            about: "new keys for changed recipients, or for another id; tells who has left",
            options: &[&KEY, &PASSPHRASE, &RECIPIENTS, &PIN, &ID, &NEW_ID, &FORMAT],
        },
        Subcommand {
            name: "sign",
            words: "FILE",
            about: "adds a signature to FILE.sig",
            options: &[&KEY, &PASSPHRASE, &ID, &FORMAT],
        },
        Subcommand {
            name: "verify",
            words: "FILE",
            about: "checks FILE.sig; needs --signer",
            options: &[&SIGNER, &ID, &FORMAT],
        },
        Subcommand {
            name: "check",
            words: "[FOLDER...]",
            about: "finds what should be sealed; exit code 1 when there is something, 2 when something could not be checked",
            options: &[],
        },
        Subcommand {
            name: "show",
            words: "FILE",
            about: "for `git diff`: git config diff.sealed.textconv 'seal show' (--recipients FILE: with names)",
            options: &[&RECIPIENTS, &FORMAT],
        },
        Subcommand {
            name: "merge",
            words: "BASE OURS THEIRS [PATH]",
            about: "for `git merge`: git config merge.sealed.driver 'seal merge %O %A %B %P'; exit code 1 for a conflict, 129 \
                    when it cannot merge; with --key, by what the values say",
            options: &[&KEY, &PASSPHRASE, &ID, &FORMAT],
        },
        Subcommand {
            name: "exec",
            words: "FILE -- COMMAND [WORD...]",
            about: "runs a command with the values in its environment",
            options: &[&KEY, &PASSPHRASE, &ID, &FORMAT],
        },
    ],
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Plaintext and private keys are in this process's memory.
    let done = match harden_process() {
        Err(error) => Err(error.into()),
        Ok(()) => run().await,
    };
    done.unwrap_or_else(|error| {
        if error.downcast_ref().is_some_and(Unwritten::is_closed) {
            return ExitCode::SUCCESS;
        }
        complain(&*error);
        let command = std::env::args_os().nth(1).unwrap_or_default();
        let failure = commands::failure(&command.to_string_lossy());
        ExitCode::from(match error.is::<Misused>() {
            true => failure.max(2),
            false => failure,
        })
    })
}

/// Says on standard error what went wrong, and why.
fn complain(error: &dyn std::error::Error) {
    warn(format_args!("seal: {error}"));
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.for_each(|cause| warn(format_args!("  because {cause}")));
}

async fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    match PROGRAM.read(std::env::args_os().skip(1))? {
        Asked::Nothing => walk::through().await.map(|()| ExitCode::SUCCESS),
        Asked::Text(text) => {
            print(text)?;
            Ok(ExitCode::SUCCESS)
        }
        Asked::Something(arguments) => commands::run(&arguments).await,
    }
}
