//! What the subcommands do.

use std::ffi::OsString;
use std::io::{Write as _, stdin, stdout};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clusterops::secrets::secrecy::ExposeSecret as _;
use clusterops::secrets::{
    self, CheckOptions, DocumentId, Edited, Editor, Opened, Pointer, Sealed, SealedFile, Value,
};

use tokio::signal::unix::{SignalKind, signal};

use super::NEW_ID;
use super::arguments::nothing_to_seal;
use super::command_line::{Arguments, Misused, Result, text};
use super::keys::{generate, identities, private_keys, signers, signing_key};

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    match arguments.command {
        "generate" => generate(arguments)?,
        "seal" => seal(arguments)?,
        "set" => set(arguments)?,
        "extract" => extract(arguments).await?,
        "open" => stdout().write_all(
            opened(arguments, arguments.words::<1>()?[0])
                .await?
                .text()
                .expose_secret()
                .as_bytes(),
        )?,
        "edit" => edit(arguments).await?,
        "rotate" | "compact" => anew(arguments).await?,
        "reseal" => reseal(arguments).await?,
        "sign" => {
            let file = arguments.file(arguments.words::<1>()?[0])?;
            let signer = signing_key(arguments)?;
            let path = secrets::sign_file(&file, &arguments.id(&file)?, &signer)?;
            println!(
                "{} signed {}: {}",
                signer.verifying_key().thumbprint(),
                file.digest(),
                path.display()
            );
        }
        "verify" => {
            let file = arguments.file(arguments.words::<1>()?[0])?;
            let signer = secrets::verify_file(&file, &arguments.id(&file)?, &signers(arguments)?)?;
            println!("{signer} has signed {}", file.digest());
        }
        "check" => return check(arguments),
        "show" => {
            let file = arguments.file(arguments.words::<1>()?[0])?;
            print!(
                "{}",
                secrets::show(file.text(), file.format(), arguments.names(&file).as_ref())
            );
        }
        "merge" => return merge(arguments),
        "exec" => return exec(arguments).await,
        command => return Err(Misused(format!("there is no command {command}")).into()),
    }
    Ok(ExitCode::SUCCESS)
}

fn seal(arguments: &Arguments) -> Result<()> {
    let Some((path, paths)) = arguments.words.split_first() else {
        return Err(Misused("seal takes a file".into()).into());
    };
    let file = arguments.file(path)?;
    let options = arguments.options(file.path())?;
    let paths = paths.iter().map(pointer).collect::<Result<Vec<_>>>()?;
    let sealed = match paths.is_empty() {
        true => secrets::seal(file.text(), file.format(), &options),
        false => secrets::seal_paths(file.text(), file.format(), &paths, &options),
    };
    if write(&file, sealed)?.values.is_empty() {
        println!("{}", nothing_to_seal(&file));
    }
    Ok(())
}

fn set(arguments: &Arguments) -> Result<()> {
    let [path, at] = arguments.words()?;
    let file = arguments.file(path)?;
    let options = arguments.options(file.path())?;
    let value = Value::read(stdin().lock())?;
    write(
        &file,
        secrets::set(file.text(), file.format(), &pointer(at)?, &value, &options),
    )?;
    Ok(())
}

async fn extract(arguments: &Arguments) -> Result<()> {
    let [path, at] = arguments.words()?;
    let file = arguments.file(path)?;
    let (id, keys) = (arguments.id(&file)?, private_keys(arguments)?);
    let value = secrets::extract(
        file.text(),
        file.format(),
        &id,
        &pointer(at)?,
        &identities(&keys),
    )
    .await;
    println!(
        "{}",
        value.map_err(|error| error.in_file(path))?.expose_secret()
    );
    Ok(())
}

async fn opened(arguments: &Arguments, path: &OsString) -> Result<Opened> {
    let file = arguments.file(path)?;
    let (id, keys) = (arguments.id(&file)?, private_keys(arguments)?);
    let opened = secrets::open(file.text(), file.format(), &id, &identities(&keys)).await;
    Ok(opened.map_err(|error| error.in_file(path))?)
}

async fn edit(arguments: &Arguments) -> Result<()> {
    let file = arguments.file(arguments.words::<1>()?[0])?;
    let (id, keys, options) = (
        arguments.id(&file)?,
        private_keys(arguments)?,
        arguments.options(file.path())?,
    );
    // Ctrl-C is the editor's meanwhile: were it ours too, the plaintext would be left behind.
    let _interrupts = [SignalKind::interrupt(), SignalKind::quit()].map(signal);
    let again = |error: &secrets::Error| {
        eprint!("{error}\nedit again? [Y/n] ");
        let mut answer = String::new();
        stdin()
            .read_line(&mut answer)
            .is_ok_and(|length| length > 0 && !answer.trim().eq_ignore_ascii_case("n"))
    };
    let editor = Editor::from_environment();
    match secrets::edit(&file, &id, &identities(&keys), &options, &editor, again).await? {
        Edited::Changed { sealed, .. } => tell(&sealed),
        _ => println!("nothing has changed"),
    }
    Ok(())
}

async fn anew(arguments: &Arguments) -> Result<()> {
    let file = arguments.file(arguments.words::<1>()?[0])?;
    let (id, keys, options) = (
        arguments.id(&file)?,
        private_keys(arguments)?,
        arguments.options(file.path())?,
    );
    let (text, format, keys) = (file.text(), file.format(), identities(&keys));
    let sealed = match arguments.command {
        "rotate" => secrets::rotate(text, format, &id, &keys, &options).await,
        _ => secrets::compact(text, format, &id, &keys, &options).await,
    };
    if write(&file, sealed)?.values.is_empty() {
        println!("{}: there was nothing to do", file.path().display());
    }
    Ok(())
}

async fn reseal(arguments: &Arguments) -> Result<()> {
    let file = arguments.file(arguments.words::<1>()?[0])?;
    let id = arguments.id(&file)?;
    let new_id: Option<DocumentId> = arguments.parsed(&NEW_ID)?.pop();
    let (keys, mut options) = (private_keys(arguments)?, arguments.options(file.path())?);
    if let Some(new_id) = &new_id {
        options = options.document(new_id.clone());
    }
    let (text, format, keys) = (file.text(), file.format(), identities(&keys));
    let resealed = secrets::reseal(text, format, &id, &keys, &options).await;
    let resealed = resealed.map_err(|error| error.in_file(file.path()))?;
    write(&file, Ok(resealed.sealed))?;
    if let Some(new_id) = new_id.filter(|new_id| *new_id != id) {
        println!("the document was `{id}`, and is `{new_id}` now");
    }
    for joiner in &resealed.joiners {
        println!("{joiner} can open it now");
    }
    for (leaver, paths) in &resealed.leavers {
        let paths: Vec<&str> = paths.iter().map(Pointer::as_str).collect();
        println!(
            "{leaver} cannot any more; change what they could read: {}",
            paths.join(" ")
        );
    }
    Ok(())
}

fn check(arguments: &Arguments) -> Result<ExitCode> {
    let here = [OsString::from(".")];
    let roots = match arguments.words.is_empty() {
        true => &here[..],
        false => &arguments.words,
    };
    let mut is_clean = true;
    for root in roots {
        for finding in secrets::check(root, &CheckOptions::default())? {
            println!("{finding}");
            is_clean = false;
        }
    }
    Ok(if is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// As git calls a merge driver: the result takes the place of our side, and a conflict is an exit code.
fn merge(arguments: &Arguments) -> Result<ExitCode> {
    let [base, ours, theirs] = arguments.words()?.map(PathBuf::from);
    // The names that git gives them tell nothing.
    let Some(format) = arguments.format_of(&ours)? else {
        return Err(Misused("--format says what the files are".into()).into());
    };
    let [base, our_file, theirs] =
        [&base, &ours, &theirs].map(|path| SealedFile::read_as(path, format));
    let (base, our_file, theirs) = (base?, our_file?, theirs?);
    let merged = secrets::merge(base.text(), our_file.text(), theirs.text(), format)?;
    our_file.replace(&merged.text)?;
    for path in &merged.conflicts {
        eprintln!("seal: both sides changed {path}");
    }
    Ok(if merged.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn exec(arguments: &Arguments) -> Result<ExitCode> {
    let [path, program, words @ ..] = &arguments.words[..] else {
        return Err(Misused("exec takes a file and, after --, a command".into()).into());
    };
    let opened = opened(arguments, path).await?;
    let mut command = Command::new(program);
    command.args(words);
    match secrets::exec(&opened, command)? {}
}

/// Puts a sealed text in place of a file's.
fn write(file: &SealedFile, sealed: secrets::Result<Sealed>) -> Result<Sealed> {
    let sealed = sealed.map_err(|error| error.in_file(file.path()))?;
    if *sealed.text != file.text() {
        file.replace(&sealed.text)?;
    }
    tell(&sealed);
    Ok(sealed)
}

fn tell(sealed: &Sealed) {
    for path in &sealed.values {
        println!("sealed {path}");
    }
    for (name, thumbprint) in &sealed.recipients {
        println!("  for {name} ({thumbprint})");
    }
    for (name, warning) in &sealed.warnings {
        eprintln!("warning: {name}: {warning}");
    }
}

fn pointer(path: &OsString) -> Result<Pointer> {
    Ok(text(path)?.parse()?)
}
