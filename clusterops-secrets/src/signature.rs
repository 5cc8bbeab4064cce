//! Who vouches for a file: detached signatures beside it.

use std::io;
use std::path::{Path, PathBuf};

use crate::contents::Contents;
use crate::document::Document;
use crate::file::{Digest, Replacing, SealedFile, create};
use crate::jose::{base64url, jws};
use crate::keys::{Signer, VerifyingKey};
use crate::marker::Stray;
use crate::{DocumentId, Error, ErrorKind, Result, Thumbprint};

/// The most bytes of a file of signatures.
const LONGEST: usize = 1 << 20;

/// Signs the exact bytes of a document: one line for a signature file. It covers the document's id, the version of the format
/// and the SHA-256 of the bytes, and so everything in the file, `image` and `cmd` too.
///
/// ```
/// use clusterops_secrets::{SigningKey, sign, verify};
///
/// let key = SigningKey::generate();
/// let (file, id) = (r#"{"id": "/shop", "image": "shop:1.4"}"#, "/shop".parse()?);
/// let signature = sign(file.as_bytes(), &id, &key)?;
/// let trusted = [key.verifying_key().clone()];
/// assert_eq!(verify(file.as_bytes(), &id, &trusted, &signature)?, *trusted[0].thumbprint());
/// let changed = file.replace("1.4", "1.5");
/// assert!(verify(changed.as_bytes(), &id, &trusted, &signature).is_err());
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
///
/// # Errors
/// [`ErrorKind::Key`] when the key cannot sign.
pub fn sign<'k>(bytes: &[u8], id: &DocumentId, signer: impl Into<Signer<'k>>) -> Result<String> {
    jws::sign(&payload(&Digest::of(bytes), id), signer.into())
}

/// Checks that one of the trusted signers has signed these bytes as this document; gives the first that has. No private key is
/// needed.
///
/// Signers are whom the caller trusts, never what the file or a `recipients.yaml` says. What holds is that the signer has seen
/// exactly these bytes: an old file with its old signature verifies too, so whoever deploys compares with what is newest.
///
/// # Errors
/// [`ErrorKind::Signature`] when none of them has, [`ErrorKind::Format`] for a line that is no signature.
pub fn verify(
    bytes: &[u8],
    id: &DocumentId,
    signers: &[VerifyingKey],
    signatures: &str,
) -> Result<Thumbprint> {
    let payload = payload(&Digest::of(bytes), id);
    let mut others = Vec::new();
    for (number, line) in lines(signatures) {
        let signature = parsed(number, line)?;
        match signers
            .iter()
            .find(|key| key.thumbprint() == signature.signer())
        {
            None => others.push(format!("{} is not trusted", signature.signer())),
            Some(key) if signature.is_by(key, &payload) => return Ok(key.thumbprint().clone()),
            Some(key) => others.push(format!(
                "that of {} does not fit this file as `{id}`",
                key.thumbprint()
            )),
        }
    }
    let message = match others.len() {
        0 => "nobody has signed this file".to_owned(),
        _ => format!(
            "no trusted signer has signed this file: {}",
            others.join("; ")
        ),
    };
    Err(Error::new(ErrorKind::Signature, message))
}

/// Signs a file and puts the signature into the file beside it, `FILE.sig`: one line for each signer, whose older one it
/// replaces. Where the path of the file is a link, that is beside the file that it leads to. A signature file that is there already
/// keeps its mode and owner.
///
/// # Errors
/// As [`sign`]; [`ErrorKind::Syntax`] when the file is no document, and [`ErrorKind::Unresolved`] when a value in it is still marked to
/// be sealed: nobody means to vouch for these. [`ErrorKind::Local`] when the signature file cannot be read or written,
/// [`ErrorKind::Format`] when there is something else in it, [`ErrorKind::Changed`] when somebody has changed it meanwhile.
pub fn sign_file<'k>(
    file: &SealedFile,
    id: &DocumentId,
    signer: impl Into<Signer<'k>>,
) -> Result<PathBuf> {
    let signer = signer.into();
    Document::parse(file.text().as_bytes(), file.format())
        .and_then(|document| {
            Contents::of(&document)?.check_sealed()?;
            Stray::refuse_in(&document)
        })
        .map_err(|error| error.in_file(file.path()))?;
    let line = sign(file.text().as_bytes(), id, signer)?;
    let path = file.signature_path();
    let failed = |error| failed(&path, error);
    // The file itself, where somebody has put a link here.
    let real = match path.canonicalize() {
        Ok(real) => Some(real),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    // Two signers at once do not undo each other's work: who has the lock reads and writes.
    let replacing = Replacing::of(real.as_deref().unwrap_or(&path), &path).map_err(failed)?;
    let before = match real {
        Some(_) => Some(read(&path)?),
        None => None,
    };
    let mut text = String::new();
    for (number, line) in lines(before.as_deref().unwrap_or_default()) {
        let signature = parsed(number, line).map_err(|error| error.in_file(&path))?;
        if signature.signer() != signer.thumbprint() {
            text.extend([line, "\n"]);
        }
    }
    text.push_str(&line);
    text.push('\n');
    match before {
        Some(before) => replacing.replace(before.as_bytes(), text.as_bytes())?,
        // Signatures are for everybody to read.
        None => create(&path, text.as_bytes(), 0o644).map_err(failed)?,
    }
    Ok(path)
}

/// Checks a file against the signatures in the file beside it, `FILE.sig`, or beside what its path is a link to.
///
/// # Errors
/// As [`verify`]; [`ErrorKind::Signature`] when there is no signature file, [`ErrorKind::Local`] when it cannot be read.
pub fn verify_file(
    file: &SealedFile,
    id: &DocumentId,
    signers: &[VerifyingKey],
) -> Result<Thumbprint> {
    let path = file.signature_path();
    match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let message = format!(
                "nobody has signed this file: there is no {}",
                path.display()
            );
            return Err(Error::new(ErrorKind::Signature, message).in_file(file.path()));
        }
        // Reading says what else is wrong.
        _ => {}
    }
    let signatures = read(&path)?;
    verify(file.text().as_bytes(), id, signers, &signatures).map_err(|error| match error.kind() {
        ErrorKind::Format => error.in_file(&path),
        _ => error.in_file(file.path()),
    })
}

/// What is signed; it stands nowhere, so whoever verifies makes it anew from the file.
fn payload(digest: &Digest, id: &DocumentId) -> Vec<u8> {
    let id = serde_json::to_string(id.as_str()).expect("a string is always JSON");
    let digest = base64url::encode(digest.bytes());
    format!(r#"{{"document":{id},"version":1,"sha256":"{digest}"}}"#).into_bytes()
}

fn read(path: &Path) -> Result<String> {
    let bytes = crate::file::bytes_of(path)?;
    let text = std::str::from_utf8(&bytes).ok();
    let text = text.filter(|text| text.len() <= LONGEST);
    text.map(str::to_owned).ok_or_else(|| {
        let message = "this is no file of signatures: text of at most 1 MiB";
        Error::new(ErrorKind::Format, message).in_file(path)
    })
}

fn parsed(number: usize, line: &str) -> Result<jws::Jws<'_>> {
    jws::Jws::parse(line)
        .map_err(|why| Error::new(ErrorKind::Format, format!("the signature {why}")).at(number, 1))
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines.filter_map(|(index, line)| (!line.trim().is_empty()).then_some((index + 1, line)))
}

fn failed(path: &Path, error: io::Error) -> Error {
    Error::new(ErrorKind::Local, "the signature cannot be written")
        .in_file(path)
        .caused_by(error)
}
