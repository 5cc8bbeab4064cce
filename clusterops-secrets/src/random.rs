//! Randomness, all of it from the operating system (getrandom(2)).

use getrandom::rand_core::Rng as _;
#[cfg(not(test))]
use getrandom::{SysRng, rand_core::UnwrapErr};

/// The operating system's generator. It does not fail once the system has started; where it does all the same, nothing
/// secret can be made, and it panics.
#[cfg(not(test))]
pub(crate) fn generator() -> UnwrapErr<SysRng> {
    UnwrapErr(SysRng)
}

#[cfg(test)]
pub(crate) use tests::generator;

/// Fresh random bytes.
pub(crate) fn bytes<const LENGTH: usize>() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    generator().fill_bytes(&mut bytes);
    bytes
}

/// A generator whose output can be repeated, for test vectors.
#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use getrandom::SysRng;
    use getrandom::rand_core::{TryCryptoRng, TryRng};
    use sha2::{Digest as _, Sha256};

    thread_local! {
        /// The next counter of this thread, once it counts.
        static COUNTER: Cell<Option<u64>> = const { Cell::new(None) };
    }

    /// From here on, whatever is random on this thread is not.
    pub(crate) fn count_from_zero() {
        COUNTER.set(Some(0));
    }

    pub(crate) struct Generator;

    pub(crate) fn generator() -> Generator {
        Generator
    }

    impl TryRng for Generator {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            let mut bytes = [0; 4];
            self.try_fill_bytes(&mut bytes)?;
            Ok(u32::from_le_bytes(bytes))
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            let mut bytes = [0; 8];
            self.try_fill_bytes(&mut bytes)?;
            Ok(u64::from_le_bytes(bytes))
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
            let Some(mut counter) = COUNTER.get() else {
                SysRng
                    .try_fill_bytes(bytes)
                    .expect("the system has randomness");
                return Ok(());
            };
            for piece in bytes.chunks_mut(32) {
                piece.copy_from_slice(&Sha256::digest(counter.to_be_bytes())[..piece.len()]);
                counter += 1;
            }
            COUNTER.set(Some(counter));
            Ok(())
        }
    }

    impl TryCryptoRng for Generator {}
}
