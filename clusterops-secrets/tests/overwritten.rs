//! What is read as a secret is not left behind in memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use clusterops_secrets::Value;

/// A secret that stands nowhere in this program: it is these bytes, each with some bits flipped.
const CODED: [u8; 16] = *b"an odd sequence!";
const FLIPPED: u8 = 0x5a;

/// Reads the secret, again and again. Allocations in between keep buffers from growing in place.
struct Source {
    left: usize,
    kept: Vec<Box<[u8]>>,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.kept.push(vec![0; 40_000].into());
        let length = buffer.len().min(self.left);
        let coded = CODED
            .iter()
            .cycle()
            .skip(self.left.wrapping_neg() % CODED.len());
        for (byte, coded) in buffer[..length].iter_mut().zip(coded) {
            *byte = coded ^ FLIPPED;
        }
        self.left -= length;
        Ok(length)
    }
}

/// In how many pieces of this process's memory the secret stands.
fn places() -> usize {
    const PIECE: usize = 4096;

    let maps = std::fs::read_to_string("/proc/self/maps").expect("Linux");
    let memory = File::open("/proc/self/mem").expect("ours");
    // In the middle of nothing else, so that nothing else is passed over with it.
    let mut around = vec![0; 32 * PIECE];
    let piece = &mut around[16 * PIECE..17 * PIECE];
    let own = piece.as_ptr().addr();
    let mut places = 0;
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').expect("a range");
        if !rest.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').expect("from and to");
        let [from, to] = [from, to].map(|hex| usize::from_str_radix(hex, 16).expect("an address"));
        for at in (from..to).step_by(PIECE) {
            // What we read it into is none of them.
            if at < own + PIECE && own < at + PIECE
                || memory.read_exact_at(piece, at as u64).is_err()
            {
                continue;
            }
            let is_it = |window: &[u8]| {
                window
                    .iter()
                    .zip(CODED)
                    .all(|(byte, coded)| *byte == coded ^ FLIPPED)
            };
            places += usize::from(piece.windows(CODED.len()).any(is_it));
        }
    }
    piece.fill(0);
    places
}

#[test]
fn a_value_that_is_read_is_nowhere_once_it_is_dropped() {
    assert_eq!(places(), 0);
    for length in [160, 100 * CODED.len(), 100_000, 1 << 20] {
        let length = length / CODED.len() * CODED.len();
        let mut source = Source {
            left: length,
            kept: Vec::new(),
        };
        let value = Value::read(&mut source).expect("it reads");
        assert!(places() > 0, "it is not found where it stands");
        drop(value);
        assert_eq!(places(), 0, "of {length} bytes");
    }
}
