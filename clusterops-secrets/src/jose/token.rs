//! Sealed values: compact JWEs whose key is an epoch's (`dir`, RFC 7518 section 4.5).

use std::borrow::Cow;
use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::{Members, base64url};
use crate::epoch::{EpochKey, NONCE, TAG, shown};
use crate::keys::Thumbprint;
use crate::{Error, ErrorKind, Result};

/// The longest value, in bytes.
pub(crate) const LONGEST_VALUE: usize = 16 << 20;

/// The longest protected header, in characters of base64url.
const LONGEST_HEADER: usize = 64 << 10;

/// What a token says about itself, authenticated with the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenHeader {
    /// The epoch whose key it is sealed with.
    pub(crate) epoch: Thumbprint,
    /// The document that the value belongs to.
    pub(crate) document: String,
    /// Where in the document (RFC 6901).
    pub(crate) path: String,
    /// Whether the value is a JSON number or boolean as it is spelled, not the text of a string.
    pub(crate) is_json: bool,
}

/// A token that is of the right form; whether it is authentic shows when it is opened.
#[derive(Debug, Clone)]
pub(crate) struct Token<'a> {
    header: TokenHeader,
    protected: &'a str,
    nonce: [u8; NONCE],
    tag: [u8; TAG],
    ciphertext: &'a str,
}

/// Seals a value.
///
/// # Errors
/// [`ErrorKind::Syntax`] when the value or the names are too long.
pub(crate) fn seal(
    key: &EpochKey,
    document: &str,
    path: &str,
    is_json: bool,
    value: &[u8],
) -> Result<String> {
    if value.len() > LONGEST_VALUE {
        let message = format!("the value has {} bytes; the limit is 16 MiB", value.len());
        return Err(Error::new(ErrorKind::Syntax, message).on(path));
    }
    let quoted = |text: &str| serde_json::to_string(text).expect("a string is always JSON");
    let mut header = format!(r#"{{"alg":"dir","enc":"A256GCM","kid":"{}""#, key.id());
    if is_json {
        header.push_str(r#","cty":"json""#);
    }
    // Writing to a string does not fail.
    let _ = write!(
        header,
        r#","doc":{},"path":{}}}"#,
        quoted(document),
        quoted(path)
    );
    let protected = base64url::encode(header.as_bytes());
    if protected.len() > LONGEST_HEADER {
        let message =
            "the document's id and the value's path are longer than 48 KiB together, the limit";
        return Err(Error::new(ErrorKind::Syntax, message));
    }
    let mut text = Zeroizing::new(value.to_vec());
    let (nonce, tag) = key.encrypt(protected.as_bytes(), &mut text);
    let [nonce, text, tag] = [&nonce, &**text, &tag].map(base64url::encode);
    Ok(format!("{protected}..{nonce}.{text}.{tag}"))
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`ErrorKind::Format`] for whatever FORMAT.md does not allow.
    pub(crate) fn parse(text: &'a str) -> Result<Self> {
        Self::read(text)
            .map_err(|why| Error::new(ErrorKind::Format, format!("the sealed value {why}")))
    }

    fn read(text: &'a str) -> Result<Self, String> {
        let mut parts = text.split('.');
        let mut part = || parts.next();
        let (Some(protected), Some(key), Some(nonce), Some(ciphertext), Some(tag), None) =
            (part(), part(), part(), part(), part(), part())
        else {
            return Err("is no compact JWE: it has not five parts".into());
        };
        if protected.len() > LONGEST_HEADER {
            return Err("has a header longer than 64 KiB, the limit".into());
        }
        // A third more than the value, rounded up.
        if ciphertext.len() > LONGEST_VALUE / 3 * 4 + 4 {
            return Err("is longer than 16 MiB, the limit".into());
        }
        if !key.is_empty() {
            return Err("holds a key of its own, which `dir` does not allow".into());
        }
        let header =
            base64url::decode(protected).ok_or("has a header that is not strict base64url")?;
        let mut members = Members::parse(&header)
            .ok_or("has a header that is no JSON object of strings, each once")?;
        let mut take = |name| members.take(name).map(Cow::into_owned);
        let algorithm = take("alg").unwrap_or_default();
        if algorithm != "dir" {
            return Err(format!(
                "has the algorithm `{}`; only `dir` is allowed",
                shown(&algorithm)
            ));
        }
        let encryption = take("enc").unwrap_or_default();
        if encryption != "A256GCM" {
            return Err(format!(
                "is encrypted with `{}`; only A256GCM is allowed",
                shown(&encryption)
            ));
        }
        let is_json = match take("cty").as_deref() {
            None => false,
            Some("json") => true,
            Some(other) => {
                return Err(format!(
                    "is of the type `{}`, which is not known",
                    shown(other)
                ));
            }
        };
        let epoch = take("kid").unwrap_or_default();
        let epoch = epoch.parse().map_err(|_| {
            format!(
                "names the epoch `{}`, which is no thumbprint",
                shown(&epoch)
            )
        })?;
        let document = take("doc").ok_or("does not say which document it belongs to")?;
        let path = take("path").ok_or("does not say where in the document it belongs")?;
        if let Some(name) = members.left() {
            return Err(format!(
                "has the header parameter `{}`, which is not allowed",
                shown(name)
            ));
        }
        Ok(Self {
            header: TokenHeader {
                epoch,
                document,
                path,
                is_json,
            },
            protected,
            nonce: base64url::decode_array(nonce)
                .ok_or("has an initialization vector that is not of 96 bits")?,
            tag: base64url::decode_array(tag).ok_or("has a tag that is not of 128 bits")?,
            ciphertext,
        })
    }

    pub(crate) fn header(&self) -> &TokenHeader {
        &self.header
    }

    /// Opens it with the key of its epoch.
    ///
    /// # Errors
    /// [`ErrorKind::Tampered`] when it does not authenticate.
    pub(crate) fn open(&self, key: &EpochKey) -> Result<Zeroizing<Vec<u8>>> {
        let mut text = base64url::decode(self.ciphertext)
            .map(Zeroizing::new)
            .ok_or_else(|| {
                let message = "the sealed value is not strict base64url";
                Error::new(ErrorKind::Format, message)
            })?;
        let is_authentic = self.header.epoch == *key.id()
            && key.decrypt(self.protected.as_bytes(), &self.nonce, &self.tag, &mut text);
        if is_authentic {
            return Ok(text);
        }
        let message = "the sealed value does not open: it was damaged or tampered with";
        Err(Error::new(ErrorKind::Tampered, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> EpochKey {
        EpochKey::from_bytes(Zeroizing::new([7; 32]))
    }

    fn opened(token: &str) -> Result<Vec<u8>> {
        Ok(Token::parse(token)?.open(&key())?.to_vec())
    }

    /// A token with another header, as the holder of the key would make it.
    fn with_header(header: &str) -> String {
        let protected = base64url::encode(header.as_bytes());
        let mut text = *b"value";
        let (nonce, tag) = key().encrypt(protected.as_bytes(), &mut text);
        let [nonce, text, tag] = [&nonce[..], &text, &tag].map(base64url::encode);
        format!("{protected}..{nonce}.{text}.{tag}")
    }

    #[test]
    fn what_was_sealed_opens() {
        let token = seal(&key(), "/shop", "/env/A~1\"", true, b"17").expect("it seals");
        let read = Token::parse(&token).expect("a token");
        assert_eq!(read.header().document, "/shop");
        assert_eq!(read.header().path, "/env/A~1\"");
        assert!(read.header().is_json);
        assert_eq!(*read.open(&key()).expect("it opens"), b"17");
        let empty = seal(&key(), "/shop", "", false, b"").expect("it seals");
        assert_eq!(opened(&empty).expect("it opens"), b"");
    }

    #[test]
    fn another_key_opens_nothing() {
        let other = EpochKey::mint();
        let token = seal(&key(), "/shop", "/a", false, b"value").expect("it seals");
        let error = Token::parse(&token).expect("a token").open(&other);
        assert_eq!(error.expect_err("another key").kind(), ErrorKind::Tampered);
    }

    #[test]
    fn no_flipped_bit_opens() {
        let token = seal(&key(), "/shop", "/env/A", false, b"value").expect("it seals");
        for index in 0..token.len() {
            for bit in 0..8 {
                let mut bytes = token.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                if let Ok(changed) = String::from_utf8(bytes) {
                    assert!(opened(&changed).is_err(), "byte {index}, bit {bit}");
                }
            }
        }
    }

    #[test]
    fn only_the_one_algorithm_and_the_known_parameters_are_read() {
        let id = key().id().to_string();
        let good =
            format!(r#"{{"alg":"dir","enc":"A256GCM","kid":"{id}","doc":"/a","path":"/b"}}"#);
        assert_eq!(opened(&with_header(&good)).expect("it opens"), b"value");
        let spaced = good.replace(',', ", ");
        assert_eq!(opened(&with_header(&spaced)).expect("it opens"), b"value");
        for (from, to) in [
            ("dir", "RSA1_5"),
            ("dir", "RSA-OAEP"),
            ("dir", "A256KW"),
            ("dir", "PBES2-HS256+A128KW"),
            ("dir", "none"),
            ("A256GCM", "A128GCM"),
            ("A256GCM", "A128CBC-HS256"),
            (r#""alg":"dir","#, ""),
            (r#""enc":"A256GCM","#, ""),
            (r#""doc":"/a","#, ""),
            (r#","path":"/b""#, ""),
            (r#""path""#, r#""zip":"DEF","path""#),
            (r#""path""#, r#""crit":["exp"],"exp":"1","path""#),
            (r#""path""#, r#""crit":"exp","path""#),
            (r#""path""#, r#""p2c":"1000","path""#),
            (r#""path""#, r#""cty":"text","path""#),
            (r#""path""#, r#""doc":"/a","path""#),
            (r#""path""#, r#""jwk":{},"path""#),
            (&*id, "short"),
            (&*id, ""),
        ] {
            let header = good.replace(from, to);
            let error = opened(&with_header(&header)).expect_err(&header);
            assert_eq!(error.kind(), ErrorKind::Format, "{header}");
        }
        // A kid of the right form, of no key that we have.
        let other = good.replace(&id, EpochKey::mint().id().as_str());
        let error = opened(&with_header(&other)).expect_err("another epoch");
        assert_eq!(error.kind(), ErrorKind::Tampered);
    }

    #[test]
    fn parts_of_another_form_are_refused() {
        let token = with_header(&format!(
            r#"{{"alg":"dir","enc":"A256GCM","kid":"{}","doc":"/a","path":"/b"}}"#,
            key().id()
        ));
        let parts: Vec<&str> = token.split('.').collect();
        let with = |index: usize, part: &str| {
            let mut parts = parts.clone();
            parts[index] = part;
            parts.join(".")
        };
        let short = |index: usize| with(index, &parts[index][..parts[index].len() - 2]);
        let long = |index: usize| with(index, &format!("{}AA", parts[index]));
        for token in [
            String::new(),
            "....".into(),
            "a.b.c".into(),
            format!("{token}."),
            format!("{token}="),
            format!(" {token}"),
            format!("{token}\n"),
            with(1, "AAAA"),
            with(0, &format!("{}=", parts[0])),
            with(2, ""),
            with(4, ""),
            short(2),
            long(2),
            short(4),
            long(4),
            with(3, "****"),
            with(0, &"A".repeat(LONGEST_HEADER + 4)),
        ] {
            let error = opened(&token).expect_err(&token);
            assert_eq!(error.kind(), ErrorKind::Format, "{token:.80}");
        }
    }

    #[test]
    fn what_is_too_long_is_not_sealed() {
        let value = vec![0; LONGEST_VALUE + 1];
        let error = seal(&key(), "/a", "/b", false, &value).expect_err("too long");
        assert_eq!(
            error.to_string(),
            "/b: the value has 16777217 bytes; the limit is 16 MiB"
        );
        let longest = seal(&key(), "/a", "/b", false, &value[1..]).expect("it fits");
        assert_eq!(opened(&longest).expect("it opens").len(), LONGEST_VALUE);
        assert!(seal(&key(), &"a".repeat(49 << 10), "/b", false, b"").is_err());
    }

    proptest! {
        #[test]
        fn every_value_comes_back(value in prop::collection::vec(any::<u8>(), 0..300), path in ".*") {
            let token = seal(&key(), "/shop", &path, false, &value).expect("it seals");
            let read = Token::parse(&token).expect("a token");
            prop_assert_eq!(&read.header().path, &path);
            prop_assert_eq!(read.open(&key()).expect("it opens").to_vec(), value);
        }
    }
}
