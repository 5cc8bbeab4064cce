//! The error of what the facade composes.

use std::fmt;

/// The result of the facade's own functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a function that needs more than one part of clusterops.
///
/// It shows the part's own error and nothing else; match on it to get at its kind.
///
/// ```no_run
/// # async fn example() {
/// match clusterops::run("web[1-50", "uname -r").await {
///     Err(clusterops::Error::Core(error)) => eprintln!("{error}"),
///     Err(error) if error.is_retryable() => eprintln!("later, perhaps: {error}"),
///     other => drop(other),
/// }
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A host set, an inventory, a target, or what speaks HTTP.
    Core(clusterops_core::Error),
    /// A key or a sealed document.
    #[cfg(feature = "secrets")]
    Secrets(clusterops_secrets::Error),
    /// Something on the way to a host, or on it.
    #[cfg(feature = "ssh")]
    Ssh(clusterops_ssh::Error),
}

/// What kind of thing went wrong, by the part of clusterops that it went wrong in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A host set, an inventory, a target, or what speaks HTTP.
    Core(clusterops_core::ErrorKind),
    /// A key or a sealed document.
    #[cfg(feature = "secrets")]
    Secrets(clusterops_secrets::ErrorKind),
    /// Something on the way to a host, or on it.
    #[cfg(feature = "ssh")]
    Ssh(clusterops_ssh::ErrorKind),
}

impl Error {
    /// What kind of thing went wrong.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Core(error) => ErrorKind::Core(error.kind()),
            #[cfg(feature = "secrets")]
            Self::Secrets(error) => ErrorKind::Secrets(error.kind()),
            #[cfg(feature = "ssh")]
            Self::Ssh(error) => ErrorKind::Ssh(error.kind()),
        }
    }

    /// Whether the same call can succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Core(error) => error.is_retryable(),
            #[cfg(feature = "secrets")]
            Self::Secrets(error) => error.is_retryable(),
            #[cfg(feature = "ssh")]
            Self::Ssh(error) => error.is_retryable(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Core(error) => error.fmt(f),
            #[cfg(feature = "secrets")]
            Self::Secrets(error) => error.fmt(f),
            #[cfg(feature = "ssh")]
            Self::Ssh(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Core(error) => std::error::Error::source(error),
            #[cfg(feature = "secrets")]
            Self::Secrets(error) => std::error::Error::source(error),
            #[cfg(feature = "ssh")]
            Self::Ssh(error) => std::error::Error::source(error),
        }
    }
}

impl From<clusterops_core::Error> for Error {
    fn from(error: clusterops_core::Error) -> Self {
        Self::Core(error)
    }
}

#[cfg(feature = "secrets")]
impl From<clusterops_secrets::Error> for Error {
    fn from(error: clusterops_secrets::Error) -> Self {
        Self::Secrets(error)
    }
}

#[cfg(feature = "ssh")]
impl From<clusterops_ssh::Error> for Error {
    fn from(error: clusterops_ssh::Error) -> Self {
        Self::Ssh(error)
    }
}
