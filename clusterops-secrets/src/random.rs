//! Randomness, all of it from the operating system (getrandom(2)).

use getrandom::SysRng;
use getrandom::rand_core::{Rng as _, UnwrapErr};

/// The operating system's generator. It does not fail once the system has started; where it does all the same, nothing
/// secret can be made, and it panics.
pub(crate) fn generator() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

/// Fresh random bytes.
pub(crate) fn bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    generator().fill_bytes(&mut bytes);
    bytes
}
