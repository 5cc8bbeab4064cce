//! A digest for what is kept: tokens, and what stands beside unfinished files.

/// A digest that is the same on every machine and in every release: FNV-1a of 64 bits. It guards against mistakes, not
/// against forgers.
pub(crate) fn fnv1a<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    let mut eat = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for part in parts {
        part.bytes().for_each(&mut eat);
        // No text of UTF-8 has it.
        eat(0xff);
    }
    hash
}

/// The digest as text.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    format!("{:016x}", fnv1a(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_knows_where_a_part_ends() {
        assert_ne!(fnv1a(["ab", "c"]), fnv1a(["a", "bc"]));
        // The reference vectors of FNV-1a, for no byte and for one (0xff): they do not change between versions.
        assert_eq!(digest([]), "cbf29ce484222325");
        assert_eq!(digest([""]), "af64724c8602eb6e");
    }
}
