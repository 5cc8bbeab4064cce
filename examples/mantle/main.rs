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

#[path = "../seal/arguments.rs"]
#[expect(dead_code, reason = "the example `seal` uses all of it")]
mod arguments;
mod migrate;

use std::fs::File;
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arguments::{Arguments, Misused};
use clusterops::deploy::{Deploy, Deployed, Trust, dry_run};
use clusterops::http::HttpOptions;
use clusterops::marathon::Marathon;
use clusterops::secrets::mantle::Config;
use clusterops::secrets::secrecy::ExposeSecret as _;
use clusterops::secrets::secrecy::zeroize::Zeroizing;
use clusterops::secrets::{DEFAULT_BITS, Identity, PrivateKey, Sealed, harden_process, open, seal};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const USAGE: &str = "\
Usage: mantle generate FILE            a new key pair: FILE and FILE.pub
       mantle encode APP...            seals what is marked ENC[name:value], anywhere in the file, in place
       mantle decode APP               prints the app with its values
       mantle deploy APP               without --reviewed or --signer: what would change, and the digest to review
       mantle migrate [SAFE...]        seals Mantle's own safe files anew (all of its safe_dir)

  --key FILE         a private key of a recipient
  --passphrase FILE  holds its passphrase, on its first line (/dev/fd/3 for an open file); without it you are asked
  --recipients FILE  whom to seal for (the recipients.yaml beside the file or above it)
  --pin THUMBPRINT   encode, migrate: refuses any other recipients than the pinned ones; several may be given
  --marathon URL     deploy: where to; several may be given (all that Mantle's configuration names)
  --user FILE        deploy: a file with USER:PASSWORD for the Marathons
  --reviewed DIGEST  deploy: the file was reviewed, and has this digest
  --signer FILE      deploy: the owner of this public key has signed the file
  --force yes        deploy: cancels deployments that have locked the app
  --config FILE      deploy, migrate: Mantle's config.yaml (~/.mantle/config.yaml)
  --as USER          migrate: whose store and key ($USER, as Mantle did whatever its configuration says)
  --to FOLDER        migrate: where the sealed apps go
";

const OWN: [&str; 7] = [
    "--marathon",
    "--user",
    "--reviewed",
    "--force",
    "--config",
    "--as",
    "--to",
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let done = match harden_process() {
        Err(error) => Err(error.into()),
        Ok(()) => run().await,
    };
    done.unwrap_or_else(|error| {
        complain(&*error);
        match error.is::<Misused>() {
            true => ExitCode::from(2),
            false => ExitCode::FAILURE,
        }
    })
}

/// Says on standard error what went wrong, and why.
fn complain(error: &dyn std::error::Error) {
    eprintln!("mantle: {error}");
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.for_each(|cause| eprintln!("  because {cause}"));
}

async fn run() -> Result<ExitCode> {
    let Some(arguments) = Arguments::read(std::env::args_os().skip(1), &OWN)? else {
        print!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    match arguments.command.as_str() {
        "help" => print!("{USAGE}"),
        _ if arguments.is_plain => return Err(Misused("there is no option --plain".into()).into()),
        _ if arguments.is_signing => {
            return Err(Misused("there is no option --signing".into()).into());
        }
        "generate" => generate(&arguments)?,
        "encode" => encode(&arguments)?,
        "decode" => {
            let file = arguments.file(arguments.words::<1>()?[0])?;
            let keys = arguments.identities()?;
            let opened = open(
                file.text(),
                file.format(),
                &arguments.id(&file)?,
                &identities(&keys),
            )
            .await;
            let opened = opened.map_err(|error| error.in_file(file.path()))?;
            stdout().write_all(opened.text().expose_secret().as_bytes())?;
        }
        "deploy" => return deploy(&arguments).await,
        "migrate" => return migrate::run(&arguments),
        command => return Err(Misused(format!("there is no command {command}")).into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn generate(arguments: &Arguments) -> Result<()> {
    let path = Path::new(arguments.words::<1>()?[0]);
    let mut public = path.as_os_str().to_owned();
    public.push(".pub");
    let public = Path::new(&public);
    if public.exists() {
        return Err(format!("{}: it is there already", public.display()).into());
    }
    let passphrase = arguments.new_passphrase(path)?;
    let key = PrivateKey::generate(DEFAULT_BITS)?;
    key.write_new(path, &passphrase)?;
    File::create_new(public)
        .and_then(|mut file| file.write_all(key.public_key().to_pem().as_bytes()))
        .map_err(|error| format!("{}: {error}", public.display()))?;
    println!(
        "{}: {} (keep it to yourself) and {}",
        key.public_key().thumbprint(),
        path.display(),
        public.display()
    );
    Ok(())
}

fn encode(arguments: &Arguments) -> Result<()> {
    if arguments.words.is_empty() {
        return Err(Misused("encode takes at least one file".into()).into());
    }
    for path in &arguments.words {
        let file = arguments.file(path)?;
        let sealed = seal(file.text(), file.format(), &arguments.options(file.path())?);
        let sealed = sealed.map_err(|error| error.in_file(path))?;
        file.replace(&sealed.text)?;
        tell(file.path(), &sealed);
    }
    Ok(())
}

/// Says what was sealed, and for whom: whoever can edit `recipients.yaml` could have added a key.
fn tell(path: &Path, sealed: &Sealed) {
    let count = sealed.values.len();
    let values = if count == 1 { "value" } else { "values" };
    println!("{}: {count} {values} sealed", path.display());
    for (name, thumbprint) in &sealed.recipients {
        println!("  for {name} ({thumbprint})");
    }
    for (name, warning) in &sealed.warnings {
        eprintln!("warning: {name}: {warning}");
    }
}

async fn deploy(arguments: &Arguments) -> Result<ExitCode> {
    let file = arguments.file(arguments.words::<1>()?[0])?;
    let keys = arguments.identities()?;
    let keys = identities(&keys);
    let marathons = marathons(arguments)?;
    let trust = match (arguments.own("--reviewed").last(), arguments.has_signers()) {
        (Some(digest), false) => Trust::Reviewed(digest.to_string_lossy().parse()?),
        (None, true) => Trust::Signers(arguments.signers()?),
        (None, false) => {
            let plans = dry_run(&file, &keys, &marathons).await?;
            plans.iter().for_each(|plan| println!("{plan}"));
            println!("to deploy just this file, add --reviewed {}", file.digest());
            return Ok(exit_code(plans.iter().all(|plan| plan.result.is_ok())));
        }
        (Some(_), true) => return Err(Misused("--reviewed or --signer, not both".into()).into()),
    };
    let deploy = Deploy::new(trust).force(arguments.own("--force").any(|given| given == "yes"));
    let deployed = deploy.run(&file, &keys, &marathons).await?;
    deployed.iter().for_each(|deployed| println!("{deployed}"));
    Ok(exit_code(deployed.iter().all(Deployed::is_success)))
}

fn exit_code(is_success: bool) -> ExitCode {
    match is_success {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn marathons(arguments: &Arguments) -> Result<Vec<Marathon>> {
    let mut options = HttpOptions::default();
    if let Some(path) = arguments.own("--user").last() {
        let path = Path::new(path);
        let text = std::fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let (user, password) = text
            .trim_end()
            .split_once(':')
            .ok_or_else(|| format!("{}: it has no USER:PASSWORD", path.display()))?;
        options = options.basic(user, password);
    }
    let mut urls: Vec<String> = arguments
        .own("--marathon")
        .map(|url| url.to_string_lossy().into_owned())
        .collect();
    let path = config_path(arguments);
    if urls.is_empty() && (path.exists() || arguments.own("--config").next().is_some()) {
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
    match arguments.own("--config").last() {
        Some(path) => path.into(),
        None => {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".mantle/config.yaml")
        }
    }
}

fn identities(keys: &[PrivateKey]) -> Vec<&dyn Identity> {
    keys.iter().map(|key| key as &dyn Identity).collect()
}
