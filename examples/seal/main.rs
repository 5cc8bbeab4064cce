//! Sealed secrets in a terminal: each thing that people do with them, as a subcommand.
//!
//! ```text
//! cargo run --example seal                                    # walks through all of them, in a folder of its own
//! cargo run --example seal -- help
//! cargo run --example seal -- set prod/web.json /env/DB_PASSWORD <password
//! ```

#[expect(dead_code, reason = "the example `mantle` uses it too")]
mod arguments;
mod commands;
mod walk;

use std::process::ExitCode;

use arguments::Arguments;
use clusterops::secrets::harden_process;

const USAGE: &str = "\
Usage: seal                                  walks through everything, in a temporary folder
       seal generate FILE                    a new key pair: FILE and FILE.pub (--signing: for signatures)
       seal seal FILE [PATH...]              seals what is marked ENC[name:value], or what stands at the paths
       seal set FILE PATH                    adds or replaces a value, read from standard input
       seal extract FILE PATH                prints one value
       seal open FILE                        prints the opened document
       seal edit FILE                        opens $VISUAL or $EDITOR on a copy in memory
       seal rotate|compact FILE              new keys for the same recipients; one epoch in place of several
       seal reseal FILE                      new keys for changed recipients; tells who has left
       seal sign FILE                        adds a signature to FILE.sig
       seal verify FILE                      checks FILE.sig; needs --signer
       seal check [FOLDER...]                finds what should be sealed; exit code 1 when there is something
       seal show FILE                        for `git diff`: git config diff.sealed.textconv 'seal show'
       seal merge BASE OURS THEIRS           for `git merge`: git config merge.sealed.driver 'seal merge %O %A %B'
       seal exec FILE -- COMMAND [WORD...]   runs a command with the values in its environment

  --key FILE         a private key (recipients' for opening, a signer's for sign); several may be given
  --passphrase FILE  holds the passphrase of the keys, on its first line; without it you are asked
  --recipients FILE  whom to seal for (the recipients.yaml beside the file or above it)
  --pin THUMBPRINT   refuses any other recipients than the pinned ones; several may be given
  --id ID            the document's id (the string `id` at its root)
  --signer FILE      a public key that is trusted; several may be given
  --format FORMAT    json, yaml or dotenv (by the file's name)
  --plain            generate: the private key without a passphrase
";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // Plaintext and private keys are in this process's memory.
    let done = match harden_process() {
        Err(error) => Err(error.into()),
        Ok(()) => run().await,
    };
    done.unwrap_or_else(|error| {
        eprintln!("seal: {error}");
        let causes = std::iter::successors(error.source(), |error| error.source());
        causes.for_each(|cause| eprintln!("  because {cause}"));
        match error.is::<arguments::Misused>() {
            true => ExitCode::from(2),
            false => ExitCode::FAILURE,
        }
    })
}

async fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    match Arguments::read(std::env::args_os().skip(1), &[])? {
        None => walk::through().await.map(|()| ExitCode::SUCCESS),
        Some(arguments) if arguments.command == "help" => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        Some(arguments) => commands::run(&arguments).await,
    }
}
