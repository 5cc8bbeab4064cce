//! What known_hosts files answer.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

#[cfg(doc)]
use super::KnownHosts;
use super::PublicKey;

/// What the known_hosts files say about a host's key.
///
/// Only [`Known`](Verdict::Known) permits a connection, and only [`Unknown`](Verdict::Unknown) permits that a key is
/// accepted as new (ssh_config(5), `StrictHostKeyChecking`).
///
/// ```
/// use clusterops_ssh::known_hosts::{KnownHosts, PublicKey, Verdict};
///
/// let file = "web1 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti\n";
/// let other: PublicKey =
///     "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio".parse()?;
/// match KnownHosts::parse(file, "known_hosts").lookup("web1", 22, &other) {
///     Verdict::Changed { expected } => assert_eq!(
///         expected[0].to_string(),
///         "known_hosts:1: ssh-ed25519 SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ",
///     ),
///     verdict => panic!("{verdict:?}"),
/// }
/// # Ok::<(), clusterops_ssh::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The host is known with this key.
    Known,
    /// No line gives a key for this host.
    Unknown,
    /// The host is known with other keys of this type: either it was set up anew, or somebody sits in between.
    Changed {
        /// The keys of this type that the files hold for the host.
        expected: Vec<Entry>,
    },
    /// The host is known, but only with keys of other types.
    ///
    /// OpenSSH treats this as a changed key, and so must whoever asks: a host that has the expected type would have
    /// been asked for it.
    OtherTypes {
        /// The keys that the files hold for the host.
        expected: Vec<Entry>,
    },
    /// The key is marked `@revoked` for this host. Nothing else counts then.
    Revoked {
        /// The line that revokes it.
        entry: Entry,
    },
}

/// A key in a known_hosts file, and where it stands.
///
/// Displays as `file:line: type fingerprint`, which is what an operator needs to find and compare it.
///
/// ```
/// use clusterops_ssh::known_hosts::KnownHosts;
///
/// let file = "\
/// ## Hosts of example.com are certified by this key.
/// @cert-authority *.example.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti
/// ";
/// let known = KnownHosts::parse(file, "known_hosts");
/// let authorities = known.certificate_authorities("web1.example.com", 22);
/// assert_eq!(
///     authorities[0].to_string(),
///     "known_hosts:2: ssh-ed25519 SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The file, as it was named to [`KnownHosts::load`] or [`KnownHosts::parse`].
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
    /// The key.
    pub key: PublicKey,
}

/// A line that was not understood, and so has no say.
///
/// Displays as `file:line: reason`; see [`KnownHosts::skipped`].
///
/// ```
/// use clusterops_ssh::known_hosts::KnownHosts;
///
/// let known = KnownHosts::parse("# fine\nweb1 ssh-ed25519\n", "known_hosts");
/// assert_eq!(known.skipped()[0].to_string(), "known_hosts:2: the line ends before the key");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file, as it was named to [`KnownHosts::load`] or [`KnownHosts::parse`].
    pub file: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Verdict {
    /// What two sources say together: a revocation counts, then a key that is known, then keys that differ.
    #[must_use]
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (revoked @ Self::Revoked { .. }, _) | (_, revoked @ Self::Revoked { .. }) => revoked,
            (Self::Known, _) | (_, Self::Known) => Self::Known,
            (Self::Changed { mut expected }, Self::Changed { expected: more }) => {
                expected.extend(more);
                Self::Changed { expected }
            }
            (changed @ Self::Changed { .. }, _) | (_, changed @ Self::Changed { .. }) => changed,
            (Self::OtherTypes { mut expected }, Self::OtherTypes { expected: more }) => {
                expected.extend(more);
                Self::OtherTypes { expected }
            }
            (other @ Self::OtherTypes { .. }, _) | (_, other) => other,
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line) = (self.file.display(), self.line);
        write!(formatter, "{file}:{line}: {:?}", self.key)
    }
}

impl fmt::Display for Skipped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}: {}",
            self.file.display(),
            self.line,
            self.reason
        )
    }
}
