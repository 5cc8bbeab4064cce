//! Epochs: the keys that seal values, each wrapped for every recipient.

use std::borrow::Cow;
use std::fmt;

use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key, Nonce, Tag};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::identity::Identity;
use crate::jose::{Members, base64url};
use crate::keys::{PublicKey, Thumbprint};
use crate::{Error, ErrorKind, Result, random};

/// How long a nonce, a tag and a key are, in bytes (A256GCM, RFC 7518 section 5.3).
pub(crate) const NONCE: usize = 12;
pub(crate) const TAG: usize = 16;
pub(crate) const KEY: usize = 32;

/// The most recipients of one epoch.
const MOST_RECIPIENTS: usize = 1000;

/// What stands in the protected header of every epoch, without white space.
const HEADER: &str = r#"{"alg":"RSA-OAEP-256","enc":"A256GCM"}"#;

/// An epoch's key: it seals the values of one call, and its thumbprint names it.
pub(crate) struct EpochKey {
    key: Zeroizing<[u8; KEY]>,
    id: Thumbprint,
    /// The key's schedule, made once for all values.
    cipher: Aes256Gcm,
}

impl EpochKey {
    /// A new key.
    pub(crate) fn mint() -> Self {
        Self::from_bytes(Zeroizing::new(random::bytes()))
    }

    pub(crate) fn from_bytes(key: Zeroizing<[u8; KEY]>) -> Self {
        let id = Thumbprint::of(jwk(&key).as_bytes());
        let cipher = cipher(&key);
        Self { key, id, cipher }
    }

    /// The RFC 7638 SHA-256 thumbprint of the key as an oct JWK.
    pub(crate) fn id(&self) -> &Thumbprint {
        &self.id
    }

    /// Encrypts in place with a fresh nonce.
    pub(crate) fn encrypt(&self, header: &[u8], text: &mut [u8]) -> ([u8; NONCE], [u8; TAG]) {
        encrypt(&self.cipher, header, text)
    }

    /// Decrypts in place; `false` when it does not authenticate.
    pub(crate) fn decrypt(
        &self,
        header: &[u8],
        nonce: &[u8; NONCE],
        tag: &[u8; TAG],
        text: &mut [u8],
    ) -> bool {
        decrypt(&self.cipher, header, nonce, tag, text)
    }
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// An epoch as it stands in a document: its key, wrapped for every recipient as a JWE in the general JSON serialization
/// (RFC 7516 section 7.2.1).
#[derive(Debug, Clone)]
pub(crate) struct Wrapped {
    id: Thumbprint,
    /// The protected header as it is written, which is what authenticates.
    protected: String,
    nonce: [u8; NONCE],
    tag: [u8; TAG],
    ciphertext: Vec<u8>,
    /// In the order in which they are written.
    recipients: Vec<Entry>,
    text: String,
}

#[derive(Debug, Clone)]
struct Entry {
    recipient: Thumbprint,
    encrypted_key: Vec<u8>,
}

impl Wrapped {
    /// Wraps a key; each recipient once, in the order of their thumbprints.
    ///
    /// # Errors
    /// [`ErrorKind::Recipients`] when there are none or too many, [`ErrorKind::Key`] when a key cannot encrypt.
    pub(crate) fn wrap(epoch: &EpochKey, recipients: &[&PublicKey]) -> Result<Self> {
        let mut recipients = recipients.to_vec();
        recipients.sort_unstable_by(|a, b| a.thumbprint().cmp(b.thumbprint()));
        recipients.dedup_by(|a, b| a.thumbprint() == b.thumbprint());
        if recipients.is_empty() {
            let message = "there is nobody to seal for; name at least one recipient";
            return Err(Error::new(ErrorKind::Recipients, message));
        }
        check_number(recipients.len())?;

        let content_key = Zeroizing::new(random::bytes::<KEY>());
        let protected = base64url::encode(HEADER.as_bytes());
        let payload = jwk(&epoch.key);
        let mut ciphertext = Zeroizing::new(payload.as_bytes().to_vec());
        let (nonce, tag) = encrypt(&cipher(&content_key), protected.as_bytes(), &mut ciphertext);
        let entry = |key: &&PublicKey| {
            Ok(Entry {
                recipient: key.thumbprint().clone(),
                encrypted_key: key.wrap(&*content_key)?,
            })
        };
        let recipients = recipients.iter().map(entry).collect::<Result<_>>()?;
        let mut wrapped = Self {
            id: epoch.id.clone(),
            protected,
            nonce,
            tag,
            ciphertext: ciphertext.to_vec(),
            recipients,
            text: String::new(),
        };
        wrapped.text = wrapped.written();
        Ok(wrapped)
    }

    /// Reads an epoch: its id and its JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for whatever FORMAT.md does not allow.
    pub(crate) fn parse(id: &str, text: &str) -> Result<Self> {
        Self::read(id, text).map_err(|why| {
            Error::new(
                ErrorKind::Format,
                format!("the epoch `{}` {why}", shown(id)),
            )
        })
    }

    fn read(id: &str, text: &str) -> Result<Self, String> {
        let id: Thumbprint = id
            .parse()
            .map_err(|_| "has no thumbprint as its name".to_owned())?;
        let jwe: Jwe<'_> = serde_json::from_str(text).map_err(|error| {
            // serde's words hold what stands in the file: public, but perhaps long, or written for a terminal.
            format!(
                "is no JWE in the general JSON serialization: {}",
                shown(&error.to_string())
            )
        })?;
        let header = base64url::decode(&jwe.protected)
            .ok_or("has a protected header that is not strict base64url")?;
        let mut members = Members::parse(&header)
            .ok_or("has a protected header that is no JSON object of strings, each once")?;
        let algorithm = members.take("alg").unwrap_or_default();
        if algorithm != "RSA-OAEP-256" {
            return Err(format!(
                "wraps its key with `{}`; only RSA-OAEP-256 is allowed",
                shown(&algorithm)
            ));
        }
        let encryption = members.take("enc").unwrap_or_default();
        if encryption != "A256GCM" {
            return Err(format!(
                "is encrypted with `{}`; only A256GCM is allowed",
                shown(&encryption)
            ));
        }
        if let Some(name) = members.left() {
            return Err(format!(
                "has the header parameter `{}`, which is not allowed",
                shown(name)
            ));
        }
        if jwe.recipients.is_empty() {
            return Err("has no recipients".into());
        }
        if jwe.recipients.len() > MOST_RECIPIENTS {
            return Err(format!(
                "has more than {MOST_RECIPIENTS} recipients, the limit"
            ));
        }
        let mut recipients: Vec<Entry> = Vec::with_capacity(jwe.recipients.len());
        for entry in &jwe.recipients {
            let recipient: Thumbprint = entry.header.kid.parse().map_err(|_| {
                format!(
                    "has the recipient `{}`, which is no thumbprint",
                    shown(&entry.header.kid)
                )
            })?;
            let encrypted_key = base64url::decode(&entry.encrypted_key)
                .filter(|key| (256..=1024).contains(&key.len()))
                .ok_or_else(|| format!("has an encrypted key for {recipient} that no RSA key of 2048 to 8192 bits makes"))?;
            recipients.push(Entry {
                recipient,
                encrypted_key,
            });
        }
        let mut names: Vec<&Thumbprint> = recipients.iter().map(|entry| &entry.recipient).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("names the recipient {} twice", pair[0]));
        }
        let ciphertext = base64url::decode(&jwe.ciphertext)
            .filter(|ciphertext| ciphertext.len() == JWK)
            .ok_or("has a ciphertext that is no encrypted 256-bit key")?;
        Ok(Self {
            nonce: base64url::decode_array(&jwe.iv)
                .ok_or("has an initialization vector that is not of 96 bits")?,
            tag: base64url::decode_array(&jwe.tag).ok_or("has a tag that is not of 128 bits")?,
            id,
            protected: jwe.protected.into_owned(),
            ciphertext,
            recipients,
            text: text.to_owned(),
        })
    }

    pub(crate) fn id(&self) -> &Thumbprint {
        &self.id
    }

    /// For whom it is wrapped.
    pub(crate) fn recipients(&self) -> impl Iterator<Item = &Thumbprint> {
        self.recipients.iter().map(|entry| &entry.recipient)
    }

    /// Its JSON, as it was read or on one line without white space.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Unwraps the key with the first of the identities that is a recipient.
    ///
    /// # Errors
    /// [`ErrorKind::NotRecipient`] when none is, [`ErrorKind::Tampered`] when the key does not come out, whatever the
    /// reason, and what the identity says when it cannot be asked.
    pub(crate) async fn open(&self, identities: &[&dyn Identity]) -> Result<EpochKey> {
        let found = identities.iter().find_map(|identity| {
            let entry = |entry: &&Entry| entry.recipient == *identity.recipient();
            Some((identity, self.recipients.iter().find(entry)?))
        });
        let Some((identity, entry)) = found else {
            return Err(self.not_recipient(identities));
        };
        // RFC 7516 section 11.5: what does not unwrap is gone on with by a random key, and fails like a wrong tag.
        let mut content_key = Zeroizing::new(random::bytes::<KEY>());
        if let Some(unwrapped) = identity.unwrap(&entry.encrypted_key).await?
            && let Ok(unwrapped) = unwrapped.expose_secret().try_into()
        {
            *content_key = unwrapped;
        }
        let mut payload = Zeroizing::new(self.ciphertext.clone());
        let authentic = decrypt(
            &cipher(&content_key),
            self.protected.as_bytes(),
            &self.nonce,
            &self.tag,
            &mut payload,
        );
        let epoch = authentic.then(|| from_jwk(&payload)).flatten();
        // The id is what the tokens name: comparing it commits to the one key that they were sealed with.
        epoch.filter(|epoch| epoch.id == self.id).ok_or_else(|| {
            let message = format!(
                "the epoch {} does not open with the key {}: it was damaged or tampered with",
                self.id,
                identity.recipient()
            );
            Error::new(ErrorKind::Tampered, message)
        })
    }

    fn not_recipient(&self, identities: &[&dyn Identity]) -> Error {
        let list = |names: Vec<String>| match names.len() {
            0 => "none".to_owned(),
            1..=5 => names.join(", "),
            more => format!("{} and {} more", names[..5].join(", "), more - 5),
        };
        let own = identities
            .iter()
            .map(|identity| identity.recipient().to_string());
        let message = format!(
            "no key at hand opens the epoch {}; it is sealed for {}; the keys at hand: {}",
            self.id,
            list(self.recipients().map(ToString::to_string).collect()),
            list(own.collect())
        );
        Error::new(ErrorKind::NotRecipient, message)
    }

    fn written(&self) -> String {
        use std::fmt::Write as _;

        let mut text = format!(r#"{{"protected":"{}","recipients":["#, self.protected);
        for (index, entry) in self.recipients.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let key = base64url::encode(&entry.encrypted_key);
            // Writing to a string does not fail.
            let _ = write!(
                text,
                r#"{comma}{{"header":{{"kid":"{}"}},"encrypted_key":"{key}"}}"#,
                entry.recipient
            );
        }
        let _ = write!(
            text,
            r#"],"iv":"{}","ciphertext":"{}","tag":"{}"}}"#,
            base64url::encode(&self.nonce),
            base64url::encode(&self.ciphertext),
            base64url::encode(&self.tag)
        );
        text
    }
}

/// The general JSON serialization; its members' order is free.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jwe<'a> {
    #[serde(borrow)]
    protected: Cow<'a, str>,
    recipients: Vec<JweRecipient>,
    #[serde(borrow)]
    iv: Cow<'a, str>,
    #[serde(borrow)]
    ciphertext: Cow<'a, str>,
    #[serde(borrow)]
    tag: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JweRecipient {
    header: JweHeader,
    encrypted_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JweHeader {
    kid: String,
}

fn check_number(recipients: usize) -> Result<()> {
    if recipients <= MOST_RECIPIENTS {
        return Ok(());
    }
    let message = format!("there are {recipients} recipients; the limit is {MOST_RECIPIENTS}");
    Err(Error::new(ErrorKind::Recipients, message))
}

/// How long the JWK of a key is.
const JWK: usize = r#"{"k":"","kty":"oct"}"#.len() + 43;

/// A key as a JWK with its members in the order that RFC 7638 section 3 wants, without white space.
fn jwk(key: &[u8; KEY]) -> Zeroizing<String> {
    let key = Zeroizing::new(base64url::encode(key));
    let mut jwk = Zeroizing::new(String::with_capacity(JWK));
    for part in [r#"{"k":""#, &key, r#"","kty":"oct"}"#] {
        jwk.push_str(part);
    }
    jwk
}

/// The inverse, of exactly that form: an id is the thumbprint of these bytes, and whoever writes an epoch has it from them.
fn from_jwk(payload: &[u8]) -> Option<EpochKey> {
    let key = std::str::from_utf8(payload)
        .ok()?
        .strip_prefix(r#"{"k":""#)?
        .strip_suffix(r#"","kty":"oct"}"#)?;
    let key = Zeroizing::new(base64url::decode_array(key)?);
    Some(EpochKey::from_bytes(key))
}

fn cipher(key: &[u8; KEY]) -> Aes256Gcm {
    // Borrowed, so that no second copy stays on the stack.
    Aes256Gcm::new(<&Key<Aes256Gcm>>::from(key))
}

fn encrypt(cipher: &Aes256Gcm, header: &[u8], text: &mut [u8]) -> ([u8; NONCE], [u8; TAG]) {
    let nonce = random::bytes();
    let tag = cipher
        .encrypt_inout_detached(&Nonce::from(nonce), header, text.into())
        .expect("values are far shorter than the 64 GiB that AES-GCM can encrypt");
    (nonce, tag.into())
}

fn decrypt(
    cipher: &Aes256Gcm,
    header: &[u8],
    nonce: &[u8; NONCE],
    tag: &[u8; TAG],
    text: &mut [u8],
) -> bool {
    cipher
        .decrypt_inout_detached(&Nonce::from(*nonce), header, text.into(), &Tag::from(*tag))
        .is_ok()
}

/// Untrusted text, short and printable, for an error.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if text.chars().count() > 60 {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests;
