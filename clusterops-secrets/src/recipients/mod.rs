//! Whom to seal for.

mod file;
mod names;
mod place;

use std::collections::BTreeSet;

pub use file::RecipientsFile;

use crate::{Error, ErrorKind, PublicKey, Result, Thumbprint};

/// Somebody to seal for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// What people call them; nothing relies on it.
    pub name: String,
    /// Their key.
    pub key: PublicKey,
}

/// Some recipients, each once, at least one.
///
/// ```
/// use clusterops_secrets::{PublicKey, Recipients};
///
/// let key = PublicKey::from_pem(include_str!("../keys/data/ana.pub.pem"))?;
/// let recipients = Recipients::new([("ana", key)])?;
/// assert_eq!(recipients.iter().count(), 1);
/// # Ok::<(), clusterops_secrets::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients(Vec<Recipient>);

impl Recipients {
    /// These, in the order of their names.
    ///
    /// # Errors
    /// [`ErrorKind::Recipients`] for none, and for two of one name.
    pub fn new<N: Into<String>>(
        recipients: impl IntoIterator<Item = (N, PublicKey)>,
    ) -> Result<Self> {
        let mut recipients: Vec<Recipient> = recipients
            .into_iter()
            .map(|(name, key)| Recipient {
                name: name.into(),
                key,
            })
            .collect();
        recipients.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(pair) = recipients
            .windows(2)
            .find(|pair| pair[0].name == pair[1].name)
        {
            let message = format!("there are two recipients `{}`", pair[0].name);
            return Err(Error::new(ErrorKind::Recipients, message));
        }
        if recipients.is_empty() {
            let message = "there is nobody to seal for; name at least one recipient";
            return Err(Error::new(ErrorKind::Recipients, message));
        }
        Ok(Self(recipients))
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Recipient> {
        self.0.iter()
    }

    pub(crate) fn keys(&self) -> Vec<&PublicKey> {
        self.0.iter().map(|recipient| &recipient.key).collect()
    }

    /// Checks that these are the pinned keys, no more and no fewer.
    ///
    /// # Errors
    /// [`ErrorKind::Recipients`] with who came and who is missing.
    pub fn check_pins(&self, pins: &[Thumbprint]) -> Result<()> {
        let pins: BTreeSet<&Thumbprint> = pins.iter().collect();
        let unknown: Vec<String> = self
            .0
            .iter()
            .filter(|recipient| !pins.contains(recipient.key.thumbprint()))
            .map(|recipient| {
                format!(
                    "`{}` ({}) is not pinned",
                    recipient.name,
                    recipient.key.thumbprint()
                )
            })
            .collect();
        let here: BTreeSet<&Thumbprint> = self
            .0
            .iter()
            .map(|recipient| recipient.key.thumbprint())
            .collect();
        let missing = pins
            .difference(&here)
            .map(|name| format!("{name} is pinned and missing"));
        let differences: Vec<String> = unknown.into_iter().chain(missing).collect();
        if differences.is_empty() {
            return Ok(());
        }
        let message = format!(
            "the recipients are not those that are pinned: {}",
            differences.join("; ")
        );
        Err(Error::new(ErrorKind::Recipients, message))
    }
}

impl<'a> IntoIterator for &'a Recipients {
    type Item = &'a Recipient;
    type IntoIter = std::slice::Iter<'a, Recipient>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
