//! Wildcards as OpenSSH's `match.c` reads them: `*` is any text, `?` any byte.

/// Whether `text` matches `pattern`, where `is_same` compares a byte of the text with one of the pattern.
///
/// Remembers the last `*` only, so the time is bounded by the product of the lengths.
pub(crate) fn matches(text: &[u8], pattern: &[u8], is_same: impl Fn(u8, u8) -> bool) -> bool {
    let (mut at_text, mut at_pattern) = (0, 0);
    let mut retry = None;
    while at_text < text.len() {
        match pattern.get(at_pattern) {
            Some(b'*') => {
                at_pattern += 1;
                retry = Some((at_text, at_pattern));
            }
            Some(byte) if *byte == b'?' || is_same(text[at_text], *byte) => {
                at_text += 1;
                at_pattern += 1;
            }
            _ => match retry {
                Some((start, after_star)) => {
                    retry = Some((start + 1, after_star));
                    (at_text, at_pattern) = (start + 1, after_star);
                }
                None => return false,
            },
        }
    }
    pattern[at_pattern..].iter().all(|byte| *byte == b'*')
}
