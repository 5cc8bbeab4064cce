use std::os::unix::fs::PermissionsExt as _;

use ::rsa::pkcs1::EncodeRsaPrivateKey as _;
use ::rsa::pkcs8::DecodePrivateKey as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::legacy::LegacyKey;
use super::*;
use crate::{ErrorKind, Identity as _, random};

mod passphrases;
mod signatures;
mod wycheproof_vectors;

const ANA: &str = include_str!("data/ana.pem");
const BEN: &str = include_str!("data/ben.pem");
const BEN_PUBLIC: &str = include_str!("data/ben.pub.pem");
const SHORT_PUBLIC: &str = include_str!("data/short.pub.pem");
const SIGNER: &str = include_str!("data/sig.pem");
const SIGNER_PUBLIC: &str = include_str!("data/sig.pub.pem");

fn passphrase(text: &str) -> SecretString {
    SecretString::from(text)
}

/// The example of RFC 7638 section 3.1.
const RFC_7638: &str = r#"{"kty": "RSA", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}"#;

#[test]
fn a_key_is_named_as_rfc_7638_names_it() {
    let key = PublicKey::from_jwk(RFC_7638).expect("a key");
    assert_eq!(
        key.thumbprint().as_str(),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    // RFC 8037 appendix A.3.
    let key = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let key = VerifyingKey::from_jwk(key).expect("a key");
    assert_eq!(
        key.thumbprint().as_str(),
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
    );
}

#[test]
fn public_keys_have_two_spellings() {
    let key = PublicKey::from_pem(BEN_PUBLIC).expect("a key");
    assert_eq!(key.to_pem(), BEN_PUBLIC);
    assert_eq!(PublicKey::from_jwk(&key.to_jwk()).expect("a JWK"), key);
    assert_eq!(
        PublicKey::from_pem(&BEN_PUBLIC.replace('\n', "\r\n")).expect("a key"),
        key
    );
    let signer = VerifyingKey::from_pem(SIGNER_PUBLIC).expect("a key");
    assert_eq!(signer.to_pem(), SIGNER_PUBLIC);
    assert_eq!(
        VerifyingKey::from_jwk(&signer.to_jwk()).expect("a JWK"),
        signer
    );
    let rsa = VerifyingKey::from_pem(BEN_PUBLIC).expect("a key");
    assert_eq!(rsa.thumbprint(), key.thumbprint());
    assert_eq!((rsa.to_pem(), rsa.to_jwk()), (key.to_pem(), key.to_jwk()));
}

#[test]
fn keys_that_cannot_be_sealed_for_are_refused() {
    let message = |result: crate::Result<PublicKey>| {
        let error = result.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Key);
        error.to_string()
    };
    assert!(message(PublicKey::from_pem(SHORT_PUBLIC)).contains("1024 bits; 2048 to 8192"));
    assert!(message(PublicKey::from_pem(BEN)).contains("private key"));
    assert!(message(PublicKey::from_pem(SIGNER_PUBLIC)).contains("no RSA public key"));
    assert!(message(PublicKey::from_pem("")).contains("no RSA public key"));
    assert!(message(PublicKey::from_jwk("{}")).contains("no JSON object with the members"));
    assert!(message(PublicKey::from_jwk(r#"{"kty":"RSA"}"#)).contains("no `n`"));
    assert!(message(PublicKey::from_jwk(r#"{"kty":"EC","crv":"P-256"}"#)).contains("neither"));
    assert!(
        message(PublicKey::from_jwk(
            &RFC_7638.replace("\"e\"", "\"d\":\"\",\"e\"")
        ))
        .contains("private")
    );
    for member in [r#""p":"""#, r#""qi":"AQ""#, r#""oth":[]"#, r#""k":1"#] {
        let jwk = RFC_7638.replace("\"e\"", &format!("{member},\"e\""));
        assert!(
            message(PublicKey::from_jwk(&jwk)).contains("private"),
            "{member}"
        );
    }
    let twice = RFC_7638.replace("\"e\"", "\"e\":\"Aw\",\"e\"");
    assert!(message(PublicKey::from_jwk(&twice)).contains("no JSON object"));
    assert!(message(PublicKey::from_jwk(&RFC_7638.replace("AQAB", "AQ=="))).contains("base64url"));
    // Even exponents and exponents of one are no keys.
    for exponent in ["AQ", "Ag", "AA", "AQAA", "AQABAQABAQAB", ""] {
        assert!(
            PublicKey::from_jwk(&RFC_7638.replace("AQAB", exponent)).is_err(),
            "{exponent}"
        );
    }
    let signer = VerifyingKey::from_pem(SIGNER_PUBLIC).expect("a key");
    assert!(message(PublicKey::from_jwk(&signer.to_jwk())).contains("signatures"));
    let weak = r#"{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
    assert!(
        VerifyingKey::from_jwk(weak)
            .expect_err("weak")
            .to_string()
            .contains("weak")
    );
}

#[test]
fn short_keys_are_warned_of() {
    let key = PublicKey::from_pem(BEN_PUBLIC).expect("a key");
    assert_eq!(key.warning(), Some(KeyWarning::Short { bits: 2048 }));
    let key = PrivateKey::from_pem(ANA, None).expect("a key");
    assert_eq!(key.public_key().warning(), None);
    for bits in [0, 1024, 2047, 8193] {
        assert_eq!(
            PrivateKey::generate(bits).expect_err("no size").kind(),
            ErrorKind::Key
        );
    }
}

#[test]
fn signing_keys_come_back_too() {
    let key = SigningKey::from_pem(SIGNER, None).expect("a key");
    assert_eq!(key.verifying_key().to_pem(), SIGNER_PUBLIC);
    assert_eq!(
        key.danger_to_unencrypted_pem()
            .expect("a PEM")
            .expose_secret(),
        SIGNER
    );
    let pem = key.to_pem(&passphrase("sesame")).expect("a PEM");
    let again = SigningKey::from_pem(pem.expose_secret(), Some(&passphrase("sesame")));
    assert_eq!(again.expect("the key").verifying_key(), key.verifying_key());
    let error = SigningKey::from_pem(BEN, None).expect_err("RSA");
    assert!(error.to_string().contains("not of Ed25519"), "{error}");
    let error = PrivateKey::from_pem(SIGNER, None).expect_err("Ed25519");
    assert!(error.to_string().contains("not of RSA"), "{error}");
    assert_ne!(
        SigningKey::generate().verifying_key(),
        SigningKey::generate().verifying_key()
    );
}

#[test]
fn other_private_keys_say_what_to_do() {
    let key = ::rsa::RsaPrivateKey::from_pkcs8_pem(BEN).expect("a key");
    let pkcs1 = key
        .to_pkcs1_pem(::rsa::pkcs8::LineEnding::LF)
        .expect("a PEM");
    let error = PrivateKey::from_pem(&pkcs1, None).expect_err("PKCS#1");
    assert!(
        error.to_string().contains("openssl pkcs8 -topk8"),
        "{error}"
    );
    let error = PrivateKey::from_pem(BEN_PUBLIC, None).expect_err("public");
    assert!(error.to_string().contains("no private key"), "{error}");
    assert!(PrivateKey::from_pem("", None).is_err());
}

#[test]
fn key_files_are_for_their_owner_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ben.pem");
    let key = PrivateKey::from_pem(BEN, None).expect("a key");
    key.danger_write_new_unencrypted(&path)
        .expect("it is written");
    let mode = |path| {
        std::fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(mode(&path), 0o600);
    assert_eq!(
        PrivateKey::read(&path, None).expect("the key").public_key(),
        key.public_key()
    );

    let error = key
        .danger_write_new_unencrypted(&path)
        .expect_err("it is there");
    assert!(
        error
            .to_string()
            .ends_with("a private key is never overwritten"),
        "{error}"
    );
    for others in [0o640, 0o604, 0o620, 0o601] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(others)).expect("ours");
        let error = PrivateKey::read(&path, None).expect_err("others can read it");
        assert_eq!((error.kind(), error.file()), (ErrorKind::Key, Some(&*path)));
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    // Nobody writes to it.
    let pipe = folder.path().join("pipe.pem");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("ours");
    assert_eq!(
        PrivateKey::read(&pipe, None).expect_err("a pipe").kind(),
        ErrorKind::Key
    );
    let error = SigningKey::read(folder.path(), None).expect_err("a folder");
    assert_eq!(error.kind(), ErrorKind::Key);
    let signer = SigningKey::generate();
    let path = folder.path().join("sig.pem");
    signer
        .write_new(&path, &passphrase("sesame"))
        .expect("it is written");
    assert_eq!(mode(&path), 0o600);
    let read = SigningKey::read(&path, Some(&passphrase("sesame"))).expect("the key");
    assert_eq!(read.verifying_key(), signer.verifying_key());
    let error =
        SigningKey::read(&path, Some(&passphrase("barley"))).expect_err("another passphrase");
    assert_eq!(error.file(), Some(&*path));
}

#[test]
fn nothing_secret_is_shown() {
    let key = PrivateKey::from_pem(BEN, None).expect("a key");
    let signer = SigningKey::from_pem(SIGNER, None).expect("a key");
    let shown = format!("{key:?} {signer:?} {:?}", Signer::from(&signer));
    let lines = BEN
        .lines()
        .chain(SIGNER.lines())
        .filter(|line| !line.starts_with('-'));
    assert!(lines.clone().count() > 20);
    assert!(
        lines.into_iter().all(|line| !shown.contains(line)),
        "{shown}"
    );
    assert_eq!(
        format!("{key:?}"),
        format!("PrivateKey({})", key.public_key().thumbprint())
    );
}

#[test]
fn numbers_have_one_spelling() {
    let key = PublicKey::from_pem(BEN_PUBLIC).expect("a key");
    let jwk = key.to_jwk();
    let n = jwk.split('"').nth(11).expect("`n`");
    let zeros = [
        &[0, 0][..],
        &crate::jose::base64url::decode(n).expect("base64url"),
    ]
    .concat();
    let again = PublicKey::from_jwk(&jwk.replace(n, &crate::jose::base64url::encode(&zeros)))
        .expect("a key");
    assert_eq!((again.to_pem(), again.to_jwk()), (key.to_pem(), jwk));
    assert_eq!(again.wrap(&[7; 32]).expect("it wraps").len(), 256);
}

#[test]
fn keys_of_2048_to_8192_bits_are_sealed_for() {
    let of_bits = |bits: usize| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] = 0xff >> (n.len() * 8 - bits);
        let n = crate::jose::base64url::encode(&n);
        PublicKey::from_jwk(&format!(r#"{{"kty":"RSA","e":"AQAB","n":"{n}"}}"#))
    };
    for bits in [2048, 2049, 8191, 8192] {
        let key = of_bits(bits).expect("a key");
        assert_eq!(key.bits(), bits);
        assert_eq!(
            key.wrap(&[7; 32]).expect("it wraps").len(),
            bits.div_ceil(8)
        );
        assert_eq!(PublicKey::from_pem(&key.to_pem()).expect("a key"), key);
    }
    for bits in [8, 1024, 2047, 8193, 1 << 20] {
        assert_eq!(
            of_bits(bits).expect_err("no size").kind(),
            ErrorKind::Key,
            "{bits}"
        );
    }
}

/// A PEM with the given label.
/// As ssh-keygen(1) writes it.
#[test]
fn a_key_in_opensshs_form_is_told_how_to_become_one() {
    let lines =
        "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n".repeat(3);
    let text =
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{lines}-----END OPENSSH PRIVATE KEY-----\n");
    for error in [
        PrivateKey::from_pem(&text, None).expect_err("another form"),
        SigningKey::from_pem(&text, None).expect_err("another form"),
    ] {
        assert!(
            error.to_string().contains("ssh-keygen -p -m PKCS8 -f FILE"),
            "{error}"
        );
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = (0..body.len())
        .step_by(64)
        .map(|at| &body[at..body.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

/// The inverse.
fn der(pem: &str) -> Vec<u8> {
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    data_encoding::BASE64
        .decode(body.as_bytes())
        .expect("base64")
}

#[test]
fn what_we_wrap_is_never_the_same() {
    let key = PublicKey::from_pem(BEN_PUBLIC).expect("a key");
    let secret: [u8; 32] = random::bytes();
    assert_ne!(
        key.wrap(&secret).expect("it wraps"),
        key.wrap(&secret).expect("it wraps")
    );
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,300}") {
        let _ = PublicKey::from_pem(&text);
        let _ = PublicKey::from_jwk(&text);
        let _ = VerifyingKey::from_pem(&text);
        let _ = VerifyingKey::from_jwk(&text);
        let _ = PrivateKey::from_pem(&text, None);
        let _ = LegacyKey::from_pem(&text);
    }

    #[test]
    fn any_bytes_in_pem_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        for label in ["PUBLIC KEY", "PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY"] {
            let pem = pem(label, &bytes);
            let _ = PublicKey::from_pem(&pem);
            let _ = PrivateKey::from_pem(&pem, Some(&SecretString::from("a")));
            let _ = LegacyKey::from_pem(&pem);
        }
    }

    /// Random bytes are refused at once; these come further.
    #[test]
    fn spoilt_keys_are_read_or_refused(
        which in 0..4_usize,
        changes in proptest::collection::vec((proptest::prelude::any::<proptest::sample::Index>(), proptest::prelude::any::<u8>(), 1..60_usize), 1..4),
    ) {
        let (label, text) = [
            ("PRIVATE KEY", BEN),
            ("PRIVATE KEY", SIGNER),
            ("PUBLIC KEY", BEN_PUBLIC),
            ("PUBLIC KEY", SIGNER_PUBLIC),
        ][which];
        let mut spoilt = der(text);
        for (at, byte, length) in changes {
            let at = at.index(spoilt.len());
            let end = spoilt.len().min(at + length);
            spoilt[at..end].fill(byte);
        }
        let text = pem(label, &spoilt);
        if let Ok(key) = PublicKey::from_pem(&text) {
            let _ = key.wrap(&[7; 32]);
            proptest::prop_assert_eq!(PublicKey::from_jwk(&key.to_jwk()).expect("a key"), key);
        }
        if let Ok(key) = VerifyingKey::from_pem(&text) {
            proptest::prop_assert!(!key.verify(b"message", &[7; 256]));
        }
        let _ = PrivateKey::from_pem(&text, None);
        let _ = SigningKey::from_pem(&text, None);
    }
}
