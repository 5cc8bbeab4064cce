//! Mantle's commands on the new format, and the way over: for those who ran malnick/mantle.
//!
//! ```text
//! cargo run --example mantle -- migrate --config ~/.mantle/config.yaml --to apps
//! cargo run --example mantle -- encode apps/web.json
//! cargo run --example mantle -- deploy apps/web.json --marathon https://marathon.example.org --key ops.pem
//! ```
//!
//! Other than Mantle's, none of them prints or logs a private key, and `decode` alone prints values: that is what it is for.
//! Secrets stand in no argument.

#[path = "../support/command_line.rs"]
mod command_line;
#[path = "../support/keys.rs"]
#[expect(dead_code, reason = "the example `seal` uses all of it")]
mod keys;
mod migrate;
#[path = "../support/output.rs"]
mod output;
#[path = "../support/passphrase.rs"]
mod passphrase;
#[path = "../support/sealing.rs"]
#[expect(dead_code, reason = "the example `seal` uses all of it")]
mod sealing;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clusterops::deploy::{Deploy, Deployed, Trust, dry_run};
use clusterops::http::HttpOptions;
use clusterops::marathon::Marathon;
use clusterops::secrets::mantle::Config;
use clusterops::secrets::secrecy::ExposeSecret as _;
use clusterops::secrets::{Digest, Sealed, harden_process, open, seal};
use command_line::{Arguments, Asked, Misused, Program, Result, Subcommand, Switch};
use keys::{generate, identities, private_keys, signers};
use output::{Unwritten, print, print_line, warn};
use sealing::{FORMAT, ID, KEY, PASSPHRASE, PIN, RECIPIENTS, SIGNER, nothing_to_seal};

const MARATHON: Switch = Switch::many(
    "--marathon",
    "URL",
    "where to; several may be given (all that Mantle's configuration names)",
);
const USER: Switch = Switch::of(
    "--user",
    "FILE",
    "a file with USER:PASSWORD for the Marathons, on its first line",
);
const REVIEWED: Switch = Switch::of(
    "--reviewed",
    "DIGEST",
    "the file was reviewed, and has this digest (SHA-256)",
);
const FORCE: Switch = Switch::flag("--force", "cancels deployments that have locked the app");
const KEEP: Switch = Switch::flag(
    "--keep",
    "keeps what stands at the root of Marathon's definition and not in the app",
);
const AUTHORITY: Switch = Switch::many(
    "--authority",
    "FILE",
    "who signed the Marathons' certificates, in PEM (whom the system trusts)",
);
const CONFIG: Switch = Switch::of(
    "--config",
    "FILE",
    "Mantle's config.yaml (~/.mantle/config.yaml)",
);
const AS: Switch = Switch::of(
    "--as",
    "USER",
    "whose store and key ($USER, as Mantle did whatever its configuration says)",
);
const TO: Switch = Switch::of("--to", "FOLDER", "where the sealed apps go");

const PROGRAM: Program = Program {
    name: "mantle",
    alone: None,
    subcommands: &[
        Subcommand {
            name: "generate",
            words: "FILE",
            about: "a new key pair: FILE and FILE.pub",
            options: &[&PASSPHRASE],
        },
        Subcommand {
            name: "encode",
            words: "APP [APP...]",
            about: "seals what is marked ENC[name:value], anywhere in the file, in place",
            options: &[&RECIPIENTS, &PIN, &ID, &FORMAT],
        },
        Subcommand {
            name: "decode",
            words: "APP",
            about: "prints the app with its values",
            options: &[&KEY, &PASSPHRASE, &ID, &FORMAT],
        },
        Subcommand {
            name: "deploy",
            words: "APP",
            about: "without --reviewed or --signer: what would change (sealed values as far as --key opens them), and the digest to \
                    review",
            options: &[
                &KEY,
                &PASSPHRASE,
                &MARATHON,
                &USER,
                &AUTHORITY,
                &REVIEWED,
                &SIGNER,
                &FORCE,
                &KEEP,
                &CONFIG,
                &FORMAT,
            ],
        },
        Subcommand {
            name: "migrate",
            words: "[SAFE...]",
            about: "seals Mantle's own safe files anew (all of its safe_dir)",
            options: &[&CONFIG, &AS, &TO, &RECIPIENTS, &PIN, &ID],
        },
    ],
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match harden_process() {
        Err(error) => Err(error.into()),
        Ok(()) => run().await,
    };
    done.unwrap_or_else(|error| {
        if error.downcast_ref().is_some_and(Unwritten::is_closed) {
            return ExitCode::SUCCESS;
        }
        complain(&*error);
        match error.is::<Misused>() {
            true => ExitCode::from(2),
            false => ExitCode::FAILURE,
        }
    })
}

/// Says on standard error what went wrong, and why.
fn complain(error: &dyn std::error::Error) {
    warn(with_switches(format_args!("mantle: {error}")));
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.for_each(|cause| warn(with_switches(format_args!("  because {cause}"))));
}

/// A text of the library with the switches here in place of what programs call.
fn with_switches(text: impl Display) -> String {
    [
        ("`PutOptions::force`", FORCE.name),
        ("`replace(false)`", KEEP.name),
        (
            "`HttpOptions::authority` (or `client_certificate`)",
            AUTHORITY.name,
        ),
        ("`HttpOptions::basic`", USER.name),
        (", or allow it by `HttpOptions::danger_plain_http`", ""),
    ]
    .iter()
    .fold(text.to_string(), |text, (call, switch)| {
        text.replace(call, switch)
    })
}

async fn run() -> Result<ExitCode> {
    let arguments = match PROGRAM.read(std::env::args_os().skip(1))? {
        Asked::Nothing => return Err(Misused("a command is missing".into()).into()),
        Asked::Text(text) => {
            print(text)?;
            return Ok(ExitCode::SUCCESS);
        }
        Asked::Something(arguments) => arguments,
    };
    match arguments.command {
        "generate" => generate(&arguments)?,
        "encode" => encode(&arguments)?,
        "decode" => decode(&arguments).await?,
        "deploy" => return deploy(&arguments).await,
        "migrate" => return migrate::run(&arguments),
        command => return Err(Misused(format!("there is no command {command}")).into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn encode(arguments: &Arguments) -> Result<()> {
    for path in &arguments.words {
        let file = arguments.file(path)?;
        let sealed = seal(file.text(), file.format(), &arguments.options(file.path())?);
        let sealed = sealed.map_err(|error| error.in_file(path))?;
        if *sealed.text != file.text() {
            file.replace(&sealed.text)?;
        }
        match sealed.values.is_empty() {
            true => print_line(nothing_to_seal(&file))?,
            false => tell(file.path(), &sealed)?,
        }
    }
    Ok(())
}

async fn decode(arguments: &Arguments) -> Result<()> {
    let file = arguments.file(arguments.words::<1>()?[0])?;
    let (id, keys) = (arguments.id(&file)?, private_keys(arguments)?);
    let opened = open(file.text(), file.format(), &id, &identities(&keys)).await;
    let opened = opened.map_err(|error| error.in_file(file.path()))?;
    Ok(print(opened.text().expose_secret())?)
}

/// Says what was sealed, and for whom: whoever can edit `recipients.yaml` could have added a key.
fn tell(path: &Path, sealed: &Sealed) -> Result<()> {
    for (name, warning) in &sealed.warnings {
        warn(format_args!("warning: {name}: {warning}"));
    }
    for unsealed in &sealed.unsealed {
        warn(format_args!("warning: {}: {unsealed}", path.display()));
    }
    let count = sealed.values.len();
    let values = if count == 1 { "value" } else { "values" };
    print_line(format_args!("{}: {count} {values} sealed", path.display()))?;
    for (name, thumbprint) in &sealed.recipients {
        print_line(format_args!("  for {name} ({thumbprint})"))?;
    }
    Ok(())
}

async fn deploy(arguments: &Arguments) -> Result<ExitCode> {
    let file = arguments.file(arguments.words::<1>()?[0])?;
    let reviewed: Option<Digest> = arguments.parsed(&REVIEWED)?.pop();
    if reviewed.is_some() && arguments.has(&SIGNER) {
        return Err(Misused("--reviewed or --signer, not both".into()).into());
    }
    // A reviewer's dry run needs none, nor does a file without sealed values.
    let keys = match arguments.has(&KEY) {
        true => private_keys(arguments)?,
        false => Vec::new(),
    };
    let keys = identities(&keys);
    let marathons = marathons(arguments)?;
    let trust = match (reviewed, arguments.has(&SIGNER)) {
        (Some(digest), _) => Trust::Reviewed(digest),
        (None, true) => Trust::Signers(signers(arguments)?),
        (None, false) => {
            let plans = dry_run(&file, &keys, &marathons).await?;
            let digest = file.digest();
            let advice = format!("to deploy just this file, add --reviewed {digest}");
            let mut lines: Vec<&dyn Display> = Vec::new();
            lines.extend(plans.iter().map(|plan| plan as &dyn Display));
            lines.push(&advice);
            return told(&lines, plans.iter().all(|plan| plan.result.is_ok()));
        }
    };
    let deploy = Deploy::new(trust)
        .force(arguments.has(&FORCE))
        .replace(!arguments.has(&KEEP));
    let deployed = deploy.run(&file, &keys, &marathons).await?;
    told(&deployed, deployed.iter().all(Deployed::is_success))
}

/// Prints what there is to say of each Marathon. What came of it counts, also when nobody reads it.
fn told(results: &[impl Display], is_success: bool) -> Result<ExitCode> {
    // They are printable as they are, over several lines.
    let print = |result: &_| print(format_args!("{}\n", with_switches(result)));
    match results.iter().try_for_each(print) {
        Err(error) if !error.is_closed() => Err(error.into()),
        _ if is_success => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::FAILURE),
    }
}

fn marathons(arguments: &Arguments) -> Result<Vec<Marathon>> {
    let mut options = HttpOptions::default();
    if let Some(path) = arguments.path(&USER) {
        let line = passphrase::first_line(path)?;
        let (user, password) = line
            .expose_secret()
            .split_once(':')
            .ok_or_else(|| format!("{}: it has no USER:PASSWORD", path.display()))?;
        options = options.basic(user, password);
    }
    for path in arguments.paths(&AUTHORITY) {
        let pem = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        options = options.authority(pem);
    }
    let mut urls: Vec<String> = arguments.parsed(&MARATHON)?;
    let path = config_path(arguments);
    if urls.is_empty() && (path.exists() || arguments.has(&CONFIG)) {
        urls = Config::load(path)?.marathons;
    }
    if urls.is_empty() {
        let message = "neither --marathon nor Mantle's configuration names a Marathon";
        return Err(Misused(message.into()).into());
    }
    let marathon = |url: &String| {
        // Mantle's configuration has the whole URL of the apps.
        let url = url.trim_end_matches('/');
        let url = url.strip_suffix("/v2/apps").unwrap_or(url);
        Ok(Marathon::new(url, options.clone())?)
    };
    urls.iter().map(marathon).collect()
}

/// Where Mantle's configuration is.
fn config_path(arguments: &Arguments) -> PathBuf {
    match arguments.path(&CONFIG) {
        Some(path) => path.to_owned(),
        None => {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".mantle/config.yaml")
        }
    }
}
