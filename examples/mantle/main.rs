//! Mantle's commands on the new format, and the way over: for those who ran malnick/mantle.
//!
//! ```text
//! cargo run --example mantle -- migrate --config ~/.mantle/config.yaml --to apps
//! cargo run --example mantle -- encode apps/web.json
//! cargo run --example mantle -- deploy apps/web.json --marathon https://marathon.example.org --key ops.pem
//! ```

#[path = "../seal/arguments.rs"]
#[expect(dead_code, reason = "the example `seal` uses all of it")]
mod arguments;

use std::ffi::OsString;
use std::io::{Write as _, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use arguments::{Arguments, Misused};
use clusterops::deploy::{Deploy, Trust, dry_run};
use clusterops::http::HttpOptions;
use clusterops::marathon::Marathon;
use clusterops::secrets::mantle::{Config, MantleKey, Store, migrate};
use clusterops::secrets::secrecy::ExposeSecret as _;
use clusterops::secrets::{
    DEFAULT_BITS, Identity, PrivateKey, RecipientsFile, SealOptions, harden_process, open, seal,
};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

const USAGE: &str = "\
Usage: mantle generate FILE            a new key pair: FILE and FILE.pub
       mantle encode APP...            seals what is marked ENC[name:value], anywhere in the file, in place
       mantle decode APP               prints the app with its values
       mantle deploy APP               without --reviewed or --signer: what would change, and the digest to review
       mantle migrate [SAFE...]        seals Mantle's own safe files anew (all of its safe_dir)

  --key FILE         a private key of a recipient
  --passphrase FILE  holds its passphrase, on its first line; without it you are asked
  --recipients FILE  whom to seal for (the recipients.yaml beside the file or above it)
  --marathon URL     where to deploy to; several may be given
  --user FILE        a file with USER:PASSWORD for the Marathons
  --reviewed DIGEST  deploys the file that was reviewed, if it has this digest
  --signer FILE      deploys a file that the owner of this public key has signed
  --force yes        cancels deployments that have locked the app
  --config FILE      migrate: Mantle's config.yaml (~/.mantle/config.yaml)
  --as USER          migrate: whose store and keys (the configuration's, else $USER)
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
        eprintln!("mantle: {error}");
        let causes = std::iter::successors(error.source(), |error| error.source());
        causes.for_each(|cause| eprintln!("  because {cause}"));
        match error.is::<Misused>() {
            true => ExitCode::from(2),
            false => ExitCode::FAILURE,
        }
    })
}

async fn run() -> Result<ExitCode> {
    let Some(arguments) = Arguments::read(std::env::args_os().skip(1), &OWN)? else {
        print!("{USAGE}");
        return Ok(ExitCode::from(2));
    };
    match arguments.command.as_str() {
        "help" => print!("{USAGE}"),
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
        "migrate" => migrate_all(&arguments)?,
        command => return Err(Misused(format!("there is no command {command}")).into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn generate(arguments: &Arguments) -> Result<()> {
    let path = Path::new(arguments.words::<1>()?[0]);
    let passphrase = arguments.passphrase(path)?;
    let key = PrivateKey::generate(DEFAULT_BITS)?;
    key.write_new(path, &passphrase)?;
    let mut public = path.as_os_str().to_owned();
    public.push(".pub");
    std::fs::write(&public, key.public_key().to_pem())?;
    println!(
        "{}: {} and {}",
        key.public_key().thumbprint(),
        path.display(),
        Path::new(&public).display()
    );
    Ok(())
}

fn encode(arguments: &Arguments) -> Result<()> {
    for path in &arguments.words {
        let file = arguments.file(path)?;
        let sealed = seal(file.text(), file.format(), &arguments.options(&file)?);
        let sealed = sealed.map_err(|error| error.in_file(path))?;
        file.replace(&sealed.text)?;
        println!(
            "{}: {} values sealed",
            file.path().display(),
            sealed.values.len()
        );
    }
    Ok(())
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
            for marathon in &marathons {
                println!("{}", dry_run(&file, &keys, marathon).await?);
            }
            println!("to deploy just this file, add --reviewed {}", file.digest());
            return Ok(ExitCode::SUCCESS);
        }
        (Some(_), true) => return Err(Misused("--reviewed or --signer, not both".into()).into()),
    };
    let deploy = Deploy::new(trust).force(arguments.own("--force").any(|given| given == "yes"));
    let mut is_success = true;
    for deployed in deploy.run(&file, &keys, &marathons).await? {
        println!("{deployed}");
        is_success &= deployed.is_success();
    }
    Ok(if is_success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn marathons(arguments: &Arguments) -> Result<Vec<Marathon>> {
    let mut options = HttpOptions::default();
    if let Some(path) = arguments.own("--user").last() {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", Path::new(path).display()))?;
        let (user, password) = text
            .trim_end()
            .split_once(':')
            .ok_or("--user names a file with USER:PASSWORD")?;
        options = options.basic(user, password);
    }
    // Mantle's configuration has the whole URL of the apps.
    let url = |url: &OsString| {
        url.to_string_lossy()
            .trim_end_matches("/v2/apps")
            .to_owned()
    };
    let marathons: Result<Vec<Marathon>> = arguments
        .own("--marathon")
        .map(|given| Ok(Marathon::new(&url(given), options.clone())?))
        .collect();
    match marathons {
        Ok(marathons) if marathons.is_empty() => {
            Err(Misused("--marathon names no Marathon".into()).into())
        }
        marathons => marathons,
    }
}

fn migrate_all(arguments: &Arguments) -> Result<()> {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    let config = arguments
        .own("--config")
        .last()
        .map(PathBuf::from)
        .unwrap_or(home.join(".mantle/config.yaml"));
    let config = Config::load(config)?;
    let user = arguments
        .own("--as")
        .last()
        .map(|user| user.to_string_lossy().into_owned());
    let user = user
        .or_else(|| config.username.clone())
        .or_else(|| std::env::var("USER").ok())
        .ok_or("--as names no user")?;
    let to = arguments
        .own("--to")
        .last()
        .map(Path::new)
        .ok_or(Misused("--to names no folder".into()))?;
    let store = Store::load(
        config.store(&user),
        &MantleKey::read(config.private_key(&user))?,
    )?;
    let safe: Vec<PathBuf> = match arguments.words.is_empty() {
        false => arguments.words.iter().map(PathBuf::from).collect(),
        true => {
            let entries = std::fs::read_dir(&config.safe_dir)
                .map_err(|error| format!("{}: {error}", config.safe_dir.display()))?;
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<_>>()?
        }
    };
    for path in safe {
        let name = path.file_name().ok_or("a safe file has a name")?;
        let target = to.join(name);
        let recipients = match arguments.recipients_file() {
            Some(file) => RecipientsFile::load(file)?,
            None => RecipientsFile::find(&target)?,
        };
        let options = SealOptions::new(recipients.for_path(&target)?);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let sealed = migrate(&text, &store, &options).map_err(|error| error.in_file(&path))?;
        // Nothing that is there already is lost.
        let mut file = std::fs::File::create_new(&target)
            .map_err(|error| format!("{}: {error}", target.display()))?;
        file.write_all(sealed.text.as_bytes())?;
        println!(
            "{}: {} values sealed",
            target.display(),
            sealed.values.len()
        );
    }
    Ok(())
}

fn identities(keys: &[PrivateKey]) -> Vec<&dyn Identity> {
    keys.iter().map(|key| key as &dyn Identity).collect()
}
