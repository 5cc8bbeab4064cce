//! Looks for bytes, many at once.

/// How many bytes come in front of the first one that is special; all of them if none is.
pub(super) fn until(bytes: &[u8], special: impl Fn(u8) -> bool) -> usize {
    let mut count = 0;
    // Without a way out of the inner loop the compiler looks at many bytes at once.
    for chunk in bytes.chunks_exact(32) {
        if chunk
            .iter()
            .fold(false, |found, &byte| found | special(byte))
        {
            break;
        }
        count += 32;
    }
    let rest = &bytes[count..];
    count
        + rest
            .iter()
            .position(|&byte| special(byte))
            .unwrap_or(rest.len())
}

/// Whether one of the bytes is special.
pub(super) fn any(text: &str, special: impl Fn(u8) -> bool) -> bool {
    until(text.as_bytes(), special) < text.len()
}

/// How many characters start in these bytes.
pub(super) fn width(bytes: &[u8]) -> usize {
    // All bytes but the second to fourth of a character; so few at once that the sum fits.
    let starts =
        |chunk: &[u8]| -> u8 { chunk.iter().map(|byte| u8::from(byte & 0xC0 != 0x80)).sum() };
    bytes
        .chunks(192)
        .map(|chunk| usize::from(starts(chunk)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_wherever_they_stand() {
        for length in 0..100 {
            let mut bytes = vec![b'x'; length];
            assert_eq!(until(&bytes, |byte| byte == b'y'), length);
            for at in 0..length {
                bytes[at] = b'y';
                assert_eq!(until(&bytes, |byte| byte == b'y'), at);
                bytes[at] = b'x';
            }
        }
    }

    #[test]
    fn characters_are_counted() {
        for text in ["", "x", "é😀", &"aé😀".repeat(500)] {
            assert_eq!(width(text.as_bytes()), text.chars().count());
        }
    }
}
