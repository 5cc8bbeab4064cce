//! What a program that holds secrets can ask of the kernel.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use crate::{Error, ErrorKind, Result};

/// Switches off core dumps of this process, and keeps other processes of the same user from attaching to it or reading its
/// memory (`PR_SET_DUMPABLE`, prctl(2), and `RLIMIT_CORE`, getrlimit(2)). Children inherit the limit and not the flag.
///
/// It changes the whole process, so nothing here calls it: it is for the first lines of a program's `main`. Root can still
/// read everything, and memory can still be swapped out.
///
/// ```no_run
/// fn main() -> clusterops_secrets::Result<()> {
///     clusterops_secrets::harden_process()?;
///     // Keys and plaintext from here on.
///     Ok(())
/// }
/// ```
///
/// # Errors
/// [`ErrorKind::Local`] when the kernel refuses.
pub fn harden_process() -> Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
        .map_err(|error| {
            let message = "core dumps cannot be switched off";
            Error::new(ErrorKind::Local, message).caused_by(error)
        })
}
