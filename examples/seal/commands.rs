//! What the subcommands do.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{IsTerminal as _, PipeReader, Read as _, stdin};
use std::os::fd::{AsFd as _, RawFd};
use std::path::Path;
use std::process::{Command, ExitCode};

use clusterops::secrets::secrecy::ExposeSecret as _;
use clusterops::secrets::{
    self, CheckOptions, DocumentId, Edited, Editor, ErrorKind, Finding, FindingKind, Format,
    Merged, Opened, Pointer, PrivateKey, SealOptions, Sealed, SealedFile, Value,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;

use super::command_line::{Arguments, Misused, Result, text};
use super::keys::{generate, identities, private_keys, signers, signing_key};
use super::output::{print, print_line, warn};
use super::sealing::{KEY, PASSPHRASE, nothing_to_seal};
use super::{EMPTY, NEW_ID, complain, passphrase};

/// The exit status of a command that fails: where 1 says something else, it is another one.
pub(crate) fn failure(command: &str) -> u8 {
    match command {
        // 1: something was found.
        "check" => 2,
        // 1: a conflict. gitattributes(5): a driver that fails ends with a status above 128, and git merges nothing then.
        "merge" => 129,
        _ => 1,
    }
}

pub(crate) async fn run(arguments: &Arguments) -> Result<ExitCode> {
    match arguments.command {
        "generate" => generate(arguments)?,
        "seal" => seal(arguments)?,
        "set" => set(arguments)?,
        "extract" => extract(arguments).await?,
        "open" => {
            let opened = opened(arguments, arguments.words::<1>()?[0]).await?;
            print(opened.text().expose_secret())?;
        }
        "edit" => edit(arguments).await?,
        "rotate" | "compact" => anew(arguments).await?,
        "reseal" => reseal(arguments).await?,
        "sign" => {
            let file = arguments.file(arguments.words::<1>()?[0])?;
            let key = signing_key(arguments)?;
            let path = secrets::sign_file(&file, &arguments.id(&file)?, key.signer())?;
            print_line(format_args!(
                "{} signed {}: {}",
                key.signer().thumbprint(),
                file.digest(),
                path.display()
            ))?;
        }
        "verify" => {
            let file = arguments.file(arguments.words::<1>()?[0])?;
            let signer = secrets::verify_file(&file, &arguments.id(&file)?, &signers(arguments)?)?;
            print_line(format_args!("{signer} has signed {}", file.digest()))?;
        }
        "check" => return check(arguments),
        "show" => show(arguments)?,
        "merge" => return merge(arguments).await,
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
        print_line(nothing_to_seal(&file))?;
    }
    Ok(())
}

fn set(arguments: &Arguments) -> Result<()> {
    let [path, at] = arguments.words()?;
    let file = arguments.file(path)?;
    let options = arguments.options(file.path())?;
    let value = match stdin().is_terminal() {
        true => passphrase::ask_for(
            &format!("value of {}", text(at)?),
            "standard input can hold it",
        )?
        .into(),
        false => Value::read(stdin().lock())?,
    };
    if value.is_empty() && !arguments.has(&EMPTY) {
        let message = "the value is empty; nothing was written, and --empty says that it is meant";
        return Err(message.into());
    }
    write(
        &file,
        secrets::set(file.text(), file.format(), &pointer(at)?, &value, &options),
    )?;
    Ok(())
}

/// As git's textconv calls it: one file that cannot be read would end all of `git diff`.
fn show(arguments: &Arguments) -> Result<()> {
    let path = Path::new(arguments.words::<1>()?[0]);
    let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let format = arguments.format_of(path)?.unwrap_or(Format::Json);
    let names = arguments.names()?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(print(secrets::show(&text, format, names.as_ref()))?)
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
    let value = value.map_err(|error| error.in_file(path))?;
    Ok(print(format_args!("{}\n", value.expose_secret()))?)
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
    let name = file.path().to_owned();
    let editing = Editing {
        file,
        id,
        keys,
        options,
    };
    let (hangups, terminations) = (
        signal(SignalKind::hangup())?,
        signal(SignalKind::terminate())?,
    );
    // Ctrl-C is the editor's meanwhile, and a terminal that is closed ends it: did they end us too, the plaintext would be left
    // behind.
    let _interrupts = [SignalKind::interrupt(), SignalKind::quit()].map(signal);
    let (is_over, over) = std::io::pipe()?;
    let editor = Editor::from_environment();
    // The editor is waited for on another thread, as signals come in here.
    let runtime = Handle::current();
    let mut edited = spawn_blocking(move || runtime.block_on(editing.run(&editor, &is_over)));
    let edited = tokio::select! {
        edited = &mut edited => edited,
        () = ended(hangups, terminations) => {
            // Nobody is asked any more.
            drop(over);
            edited.await
        }
    };
    let name = name.display();
    match edited?? {
        Some(Edited::Changed { sealed, .. }) => {
            tell(&sealed)?;
            if sealed.values.is_empty() {
                print_line(format_args!("{name}: written; no value was sealed anew"))?;
            }
            Ok(())
        }
        Some(_) => Ok(print_line("nothing has changed")?),
        None => Err(format!("{name}: what you typed is dropped; the file was not written").into()),
    }
}

async fn ended(mut hangups: Signal, mut terminations: Signal) {
    tokio::select! {
        _ = hangups.recv() => {}
        _ = terminations.recv() => {}
    }
}

/// A document to be edited, with what that takes.
struct Editing {
    file: SealedFile,
    id: DocumentId,
    keys: Vec<PrivateKey>,
    options: SealOptions,
}

impl Editing {
    /// `None` when it was declined to edit once more.
    async fn run(&self, editor: &Editor, is_over: &PipeReader) -> secrets::Result<Option<Edited>> {
        let mut is_declined = false;
        let again = |error: &secrets::Error| {
            complain(error);
            warn("edit it again, as you left it? n drops what you typed [Y/n]");
            is_declined = !agrees(is_over).unwrap_or(false);
            !is_declined
        };
        let keys = identities(&self.keys);
        let edited = secrets::edit(&self.file, &self.id, &keys, &self.options, editor, again).await;
        match is_declined {
            true => Ok(None),
            false => edited.map(Some),
        }
    }
}

/// Whether the person at the terminal agrees; nobody does any more once the pipe is closed.
fn agrees(is_over: &PipeReader) -> Result<bool> {
    let mut input = File::from(stdin().as_fd().try_clone_to_owned()?);
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\n") {
        let mut ready =
            [input.as_fd(), is_over.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        poll(&mut ready, PollTimeout::NONE)?;
        if ready[1].any().unwrap_or(false) || input.read(&mut byte)? == 0 {
            return Ok(false);
        }
        answer.push(byte[0]);
    }
    let answer = String::from_utf8_lossy(&answer).trim().to_lowercase();
    Ok(!["n", "no"].contains(&answer.as_str()))
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
        print_line(format_args!(
            "{}: there was nothing to do",
            file.path().display()
        ))?;
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
        print_line(format_args!(
            "the document was `{id}`, and is `{new_id}` now"
        ))?;
    }
    for joiner in &resealed.joiners {
        print_line(format_args!("{joiner} can open it now"))?;
    }
    for (leaver, paths) in &resealed.leavers {
        let paths: Vec<&str> = paths.iter().map(Pointer::as_str).collect();
        print_line(format_args!(
            "{leaver} cannot any more; change what they could read: {}",
            paths.join(" ")
        ))?;
    }
    Ok(())
}

fn check(arguments: &Arguments) -> Result<ExitCode> {
    let here = [OsString::from(".")];
    let roots = match arguments.words.is_empty() {
        true => &here[..],
        false => &arguments.words,
    };
    let (mut findings, mut not_checked, mut is_failed) = (Vec::new(), Vec::new(), false);
    for root in roots {
        match secrets::check(root, &CheckOptions::default()) {
            Ok(all) => {
                let is_finding =
                    |finding: &Finding| !matches!(finding.kind, FindingKind::NotChecked(_));
                let (found, other): (Vec<_>, Vec<_>) = all.into_iter().partition(is_finding);
                findings.extend(found);
                not_checked.extend(other);
            }
            Err(error) => {
                complain(&error);
                is_failed = true;
            }
        }
    }
    let printed = findings.iter().try_for_each(print_line);
    for other in &not_checked {
        warn(format_args!("seal: {other}"));
    }
    // What was found counts, also when nobody reads it.
    match printed {
        Err(error) if !error.is_closed() => return Err(error.into()),
        _ => {}
    }
    Ok(if is_failed || !not_checked.is_empty() {
        ExitCode::from(failure("check"))
    } else if !findings.is_empty() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// As git calls a merge driver: the result takes the place of our side, and a conflict is an exit code. A fourth word is git's
/// `%P`, the name that the file goes by; those of the three tell nothing.
async fn merge(arguments: &Arguments) -> Result<ExitCode> {
    let ([base, ours, theirs], name) = match &arguments.words[..] {
        [base, ours, theirs] => ([base, ours, theirs], ours),
        [base, ours, theirs, name] => ([base, ours, theirs], name),
        _ => return Err(Misused("merge takes BASE OURS THEIRS [PATH]".into()).into()),
    };
    let name = Path::new(name);
    let Some(format) = arguments.format_of(name)? else {
        return Err(Misused("--format says what the files are".into()).into());
    };
    let side = |path, side| {
        SealedFile::read_as(path, format).map_err(|error| {
            let message = format!("{side} cannot be merged");
            secrets::Error::new(error.kind(), message)
                .in_file(name)
                .caused_by(error)
        })
    };
    let (base, ours, theirs) = (
        side(base, "the base")?,
        side(ours, "our side")?,
        side(theirs, "their side")?,
    );
    let merged = merged(arguments, [&base, &ours, &theirs], name).await?;
    ours.replace(&merged.text)?;
    for path in &merged.conflicts {
        warn(format_args!(
            "seal: {}: both sides changed {path}",
            name.display()
        ));
    }
    Ok(if merged.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Merges by what the values say, where there are keys that open them.
async fn merged(arguments: &Arguments, sides: [&SealedFile; 3], name: &Path) -> Result<Merged> {
    let ([base, ours, theirs], format) = (sides.map(SealedFile::text), sides[0].format());
    let id = arguments.id(sides[1]).or_else(|_| arguments.id(sides[2]));
    if let (true, Ok(id)) = (arguments.has(&KEY), id) {
        let keys = private_keys(arguments)?;
        let keys = identities(&keys);
        match secrets::merge_opened(base, ours, theirs, format, &id, &keys).await {
            Err(error) if error.kind() == ErrorKind::NotRecipient => {
                let name = name.display();
                warn(format_args!(
                    "seal: {name}: the keys do not open all of it; merged as without them"
                ));
            }
            merged => return Ok(merged.map_err(|error| error.in_file(name))?),
        }
    }
    let merged = secrets::merge(base, ours, theirs, format);
    Ok(merged.map_err(|error| error.in_file(name))?)
}

async fn exec(arguments: &Arguments) -> Result<ExitCode> {
    let [path, program, words @ ..] = &arguments.words[..] else {
        return Err(Misused("exec takes a file and, after --, a command".into()).into());
    };
    let opened = opened(arguments, path).await?;
    let mut command = Command::new(program);
    command.args(words);
    close_inherited(arguments);
    match secrets::exec(&opened, command).map_err(|error| error.in_file(path))? {}
}

/// Closes the open files that were named, as `/dev/fd/3`: a passphrase or a key in one is not for the command.
fn close_inherited(arguments: &Arguments) {
    let named = arguments.given(&PASSPHRASE).chain(arguments.given(&KEY));
    for number in named.filter_map(|path| inherited(path)) {
        // It may have been named twice.
        let _ = nix::unistd::close(number);
    }
}

/// The number of the open file that a path names, but for standard input, output and error.
fn inherited(path: &OsStr) -> Option<RawFd> {
    let path = path.to_str()?;
    let number = ["/dev/fd/", "/proc/self/fd/"]
        .iter()
        .find_map(|folder| path.strip_prefix(folder))?;
    number.parse().ok().filter(|number| *number > 2)
}

/// Puts a sealed text in place of a file's.
fn write(file: &SealedFile, sealed: secrets::Result<Sealed>) -> Result<Sealed> {
    let sealed = sealed.map_err(|error| error.in_file(file.path()))?;
    if *sealed.text != file.text() {
        file.replace(&sealed.text)?;
    }
    tell(&sealed)?;
    Ok(sealed)
}

fn tell(sealed: &Sealed) -> Result<()> {
    for (name, warning) in &sealed.warnings {
        warn(format_args!("warning: {name}: {warning}"));
    }
    for unsealed in &sealed.unsealed {
        warn(format_args!("warning: {unsealed}"));
    }
    for path in &sealed.values {
        print_line(format_args!("sealed {path}"))?;
    }
    for (name, thumbprint) in &sealed.recipients {
        print_line(format_args!("  for {name} ({thumbprint})"))?;
    }
    Ok(())
}

fn pointer(path: &OsString) -> Result<Pointer> {
    Ok(text(path)?.parse()?)
}
