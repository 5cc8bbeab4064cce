//! base64url as JOSE has it: without padding (RFC 7515 section 2), decoded strictly.

use data_encoding::BASE64URL_NOPAD;

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// `None` for padding, white space, characters of other alphabets, and bits at the end that no encoder leaves.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

/// As [`decode`], for a value that has one length only; nothing is decoded when the text has another.
pub(crate) fn decode_array<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    if text.len() != BASE64URL_NOPAD.encode_len(LENGTH) {
        return None;
    }
    // Not by way of a vector: some of what is decoded here is a key, and would stay in freed memory.
    let mut bytes = [0; LENGTH];
    BASE64URL_NOPAD
        .decode_mut(text.as_bytes(), &mut bytes)
        .ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_encoder_writes_is_decoded() {
        assert_eq!(decode(""), Some(Vec::new()));
        assert_eq!(decode("-_8"), Some(vec![0xfb, 0xff]));
        for text in ["-_8=", "+/8", "-_9", "-_8 ", "\n-_8", "-", "ä"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode_array::<2>("-_8"), Some([0xfb, 0xff]));
        assert_eq!(decode_array::<3>("-_8"), None);
    }
}
