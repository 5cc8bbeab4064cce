//! Whatever bytes come, a parser gives a value or an error and never panics: 100,000 cases for each of the 16 below, 1,600,000 in
//! all. A quarter are bytes, a quarter words that mean something to the parser, and half are what it reads, spoilt.

use ::pkcs8::pkcs5::pbes2::Parameters;
use ::pkcs8::pkcs5::scrypt::Params;
use ::pkcs8::{LineEnding, PrivateKeyInfoRef, SecretDocument};
use data_encoding::BASE64;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use secrecy::SecretString;

use crate::contents::Contents;
use crate::document::{Document, Format};
use crate::epoch::{EpochKey, Wrapped};
use crate::jose::{jws, token};
use crate::keys::Signer;
use crate::mantle::{Config, MantleKey, Store};
use crate::{
    Digest, DocumentId, Pointer, PrivateKey, PublicKey, Recipients, RecipientsFile, SealOptions,
    SigningKey, Thumbprint, VerifyingKey, seal, verify,
};

const CASES: u32 = 100_000;

const CYD: &str = include_str!("keys/data/cyd.pem");
const CYD_PUBLIC: &str = include_str!("keys/data/cyd.pub.pem");
const SHORT_PUBLIC: &str = include_str!("keys/data/short.pub.pem");
const SIGNER: &str = include_str!("keys/data/sig.pem");
const SIGNER_PUBLIC: &str = include_str!("keys/data/sig.pub.pem");
const MANTLE: &str = include_str!("../tests/data/mantle/keys/privatekey_sally.pem");
const STORE: &str = include_str!("../tests/data/mantle/eyaml/sally.yaml");
const CONFIG: &str = include_str!("../tests/data/mantle/config.yaml");

/// Gives a parser 100,000 inputs.
fn survives(words: &[&str], valid: &[impl AsRef<[u8]>], parse: impl Fn(&[u8])) {
    let config = ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    // A few numbers for each case, which are cheap to make and to shrink.
    let numbers = prop::array::uniform6(any::<u64>());
    TestRunner::new(config)
        .run(&numbers, |numbers| {
            parse(&input(&numbers, words, valid));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// As [`survives`], for a parser of text.
fn survives_text(words: &[&str], valid: &[String], parse: impl Fn(&str)) {
    survives(words, valid, |bytes| parse(&String::from_utf8_lossy(bytes)));
}

/// An input that these numbers stand for.
fn input(numbers: &[u64; 6], words: &[&str], valid: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let bytes: Vec<u8> = numbers
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect();
    let (how, length, which) = (bytes[0] % 4, usize::from(bytes[1]), usize::from(bytes[2]));
    let rest = &bytes[3..][..length % (bytes.len() - 2)];
    match how {
        0 => rest.to_vec(),
        1 => rest
            .iter()
            .flat_map(|byte| words[usize::from(*byte) % words.len()].bytes())
            .collect(),
        _ => {
            let mut text = valid[which % valid.len()].as_ref().to_vec();
            // One change, or some.
            for change in rest.chunks_exact(5).take(1 + which % 4) {
                let [high, low, byte, piece, how] = change[..] else {
                    break;
                };
                let at = usize::from(u16::from_be_bytes([high, low])) % (text.len() + 1);
                let end = (at + usize::from(piece % 12)).min(text.len());
                match how % 5 {
                    0 if at < end => text[at] = byte,
                    0 | 1 => text.insert(at, byte),
                    2 => drop(text.drain(at..end)),
                    3 => {
                        let word = words[usize::from(byte) % words.len()];
                        drop(text.splice(at..end, word.bytes()));
                    }
                    _ => {
                        let copy = text[at..end].to_vec();
                        let to = usize::from(byte) % (text.len() + 1);
                        drop(text.splice(to..to, copy));
                    }
                }
            }
            text
        }
    }
}

fn id() -> DocumentId {
    "/shop".parse().expect("an id")
}

fn options() -> SealOptions {
    let key = PublicKey::from_pem(CYD_PUBLIC).expect("a committed key");
    SealOptions::new(Recipients::new([("cyd", key)]).expect("recipients")).document(id())
}

/// A sealed document, its source, and words of its format.
fn survives_document(format: Format, words: &[&str], source: &str) {
    let sealed = seal(source, format, &options()).expect("it seals").text;
    let valid = [source.to_owned(), sealed.to_string()];
    survives(words, &valid, |bytes| {
        if let Ok(document) = Document::parse(bytes, format) {
            // Its markers, tokens and epochs.
            let _ = Contents::of(&document);
        }
    });
}

const MARKERS: [&str; 10] = [
    "ENC[", "SEALED[", "]", ":", "a", "..", "x-sealed", "\u{e4}", "ENC[a:b]", "version",
];

fn with_markers(words: &[&'static str]) -> Vec<&'static str> {
    [words, &MARKERS].concat()
}

#[test]
fn json() {
    let words = [
        "{", "}", "[", "]", "\"", ",", ":", " ", "\n", "\\", "\\u00e4", "\\ud83d", "1", "-0",
        ".5e", "true", "null", "\"a\":", "\u{feff}",
    ];
    let source = "{\n \"id\": \"/shop\", \"n\": -1.5e3, \"a\": [{\"name\": \"x\", \"v\": \"ENC[v:\\u00e4]\"}, true, null]\n}\n";
    survives_document(Format::Json, &with_markers(&words), source);
}

#[test]
fn yaml() {
    let words = [
        "a: ",
        "- ",
        "\n",
        "  ",
        "\t",
        "&a ",
        "*a",
        "!!binary ",
        "!t ",
        "|",
        ">-",
        "'",
        "\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        "#",
        "? ",
        "---",
        "...",
        "%YAML 1.2",
        "<<: ",
        "~",
        "0x1",
        "\r",
        "\u{2028}",
    ];
    let source = "id: /shop\na: &a\n  - {name: x, v: \"ENC[v:\\xe4]\"}\n  - |\n    text\nb: *a # why\n'c d': ENC[c:d]\n";
    survives_document(Format::Yaml, &with_markers(&words), source);
}

#[test]
fn dotenv() {
    let words = [
        "A=",
        "export ",
        "'",
        "\"",
        "`",
        "#",
        " ",
        "\n",
        "\r",
        "\\n",
        "\\",
        "# x-sealed ",
        "version=1 document=a\n",
        "epoch a {}\n",
        ": ",
        "\u{2028}",
        "\u{feff}",
    ];
    let source = "# shop\nexport A='ENC[a:b]' # c\nB=\"x\\n\"\nC=`d`\n";
    survives_document(Format::Dotenv, &with_markers(&words), source);
}

/// Values that stand in a document of any format; whether they are markers is another matter.
#[test]
fn markers() {
    let sealed = crate::marker::Marker::sealed(&sealed_value());
    survives_text(&MARKERS, &["ENC[a:b]".into(), sealed], |text| {
        let quoted = serde_json::to_string(text).expect("a string is always JSON");
        let source = format!("{{\"a\": {quoted}}}");
        let document = Document::parse(source.as_bytes(), Format::Json).expect("it is JSON");
        let _ = Contents::of(&document);
    });
}

fn sealed_value() -> String {
    token::seal(&EpochKey::mint(), "/shop", "/a", true, b"17").expect("it seals")
}

const JOSE: [&str; 16] = [
    ".",
    "..",
    "eyJ",
    "e30",
    "A",
    "-",
    "_",
    "=",
    "{",
    "}",
    "\"alg\":\"dir\"",
    ",",
    "\"kid\":",
    "[",
    "]",
    "\"\"",
];

#[test]
fn tokens() {
    survives_text(&JOSE, &[sealed_value()], |text| {
        let _ = token::Token::parse(text);
    });
}

#[test]
fn epochs() {
    let key = PublicKey::from_pem(CYD_PUBLIC).expect("a committed key");
    let epoch = EpochKey::mint();
    let wrapped = Wrapped::wrap(&epoch, &[&key]).expect("it wraps");
    survives_text(&JOSE, &[wrapped.text().to_owned()], |text| {
        let _ = Wrapped::parse(epoch.id().as_str(), text);
    });
}

#[test]
fn signatures() {
    let key = SigningKey::from_pem(SIGNER, None).expect("a committed key");
    let line = jws::sign(b"payload", Signer::from(&key)).expect("it signs");
    let trusted = [key.verifying_key().clone()];
    survives_text(
        &JOSE,
        &[line.clone(), format!("{line}\n\n{line}\n")],
        |text| {
            assert!(verify(b"another", &id(), &trusted, text).is_err());
        },
    );
}

const PEM: [&str; 10] = [
    "-----BEGIN ",
    "-----END ",
    "PUBLIC KEY",
    "PRIVATE KEY",
    "ENCRYPTED ",
    "RSA ",
    "-----",
    "\n",
    "MIIB",
    "AAAA",
];

#[test]
fn public_keys() {
    let valid = [CYD_PUBLIC, SHORT_PUBLIC, SIGNER_PUBLIC].map(str::to_owned);
    survives_text(&PEM, &valid, |text| {
        let _ = PublicKey::from_pem(text);
        let _ = VerifyingKey::from_pem(text);
    });
}

/// The signer's key under a passphrase that costs nothing.
fn encrypted() -> String {
    let (_, document) = SecretDocument::from_pem(SIGNER).expect("a committed key");
    let key = PrivateKeyInfoRef::try_from(document.as_bytes()).expect("a committed key");
    let parameters = Parameters::generate_scrypt_aes256cbc(
        Params::new(1, 1, 1).expect("the least"),
        &[7; 16],
        [7; 16],
    );
    let encrypted = key
        .encrypt_with_params(parameters.expect("parameters"), "a")
        .expect("it encrypts");
    let pem = encrypted.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF);
    pem.expect("a PEM").to_string()
}

#[test]
fn private_keys() {
    let passphrase = SecretString::from("a");
    let valid = [
        encrypted(),
        SIGNER.to_owned(),
        CYD.to_owned(),
        MANTLE.to_owned(),
    ];
    assert!(SigningKey::from_pem(&valid[0], Some(&passphrase)).is_ok());
    survives_text(&PEM, &valid, |text| {
        let _ = SigningKey::from_pem(text, Some(&passphrase));
        let _ = PrivateKey::from_pem(text, None);
        let _ = MantleKey::from_pem(text);
    });
}

/// What stands in a PEM, in base64 as it is written there.
fn pem(label: &str, der: &[u8]) -> String {
    let base64 = BASE64.encode(der);
    let lines: Vec<&str> = (0..base64.len())
        .step_by(64)
        .map(|at| &base64[at..base64.len().min(at + 64)])
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

fn der(pem: &str) -> Vec<u8> {
    let (_, document) = SecretDocument::from_pem(pem).expect("a committed key");
    document.as_bytes().to_vec()
}

/// Of DER: an empty sequence, numbers, an identifier, bytes, lengths that are too long.
const DER: [&str; 10] = [
    "0\0",
    "\u{2}\u{1}\0",
    "\u{2}\0",
    "\u{6}\u{3}+ep",
    "\u{4}\u{1}a",
    "\u{5}\0",
    "\u{3}\u{1}\0",
    "0",
    "\u{1}",
    "\u{7f}",
];

#[test]
fn public_keys_in_der() {
    let valid = [CYD_PUBLIC, SHORT_PUBLIC, SIGNER_PUBLIC].map(der);
    survives(&DER, &valid, |bytes| {
        let pem = pem("PUBLIC KEY", bytes);
        let _ = PublicKey::from_pem(&pem);
        let _ = VerifyingKey::from_pem(&pem);
    });
}

#[test]
fn private_keys_in_der() {
    let passphrase = SecretString::from("a");
    let encrypted = encrypted();
    survives(&DER, &[&*encrypted, SIGNER, MANTLE].map(der), |bytes| {
        let _ = SigningKey::from_pem(&pem("ENCRYPTED PRIVATE KEY", bytes), Some(&passphrase));
        let plain = pem("PRIVATE KEY", bytes);
        let _ = SigningKey::from_pem(&plain, None);
        let _ = PrivateKey::from_pem(&plain, None);
        let _ = MantleKey::from_pem(&pem("RSA PRIVATE KEY", bytes));
    });
}

#[test]
fn jwks() {
    let words = [
        "{",
        "}",
        "\"kty\":",
        "\"RSA\"",
        "\"OKP\"",
        "\"n\":",
        "\"e\":",
        "\"AQAB\"",
        "\"crv\":\"Ed25519\"",
        "\"x\":",
        "\"d\":",
        ",",
        "\"\"",
        "[",
        "null",
    ];
    let rsa = PublicKey::from_pem(CYD_PUBLIC)
        .expect("a committed key")
        .to_jwk();
    let okp = VerifyingKey::from_pem(SIGNER_PUBLIC)
        .expect("a committed key")
        .to_jwk();
    survives_text(&words, &[rsa, okp], |text| {
        let _ = PublicKey::from_jwk(text);
        let _ = VerifyingKey::from_jwk(text);
    });
}

#[test]
fn recipients_files() {
    let words = [
        "recipients:",
        "groups:",
        "rules:",
        "path: ",
        "\n",
        "  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "ana",
        "'**'",
        "*a",
        "&a ",
        "kty: RSA",
    ];
    let jwk = PublicKey::from_pem(CYD_PUBLIC)
        .expect("a committed key")
        .to_jwk();
    let valid = format!(
        "recipients:\n  cyd: {jwk}\n  ben: ben.pem\ngroups:\n  ops: [cyd]\n  all: [ops, ben]\nrules:\n  - {{path: \"prod/**\", recipients: [ops]}}\n"
    );
    let read = |_: &str| PublicKey::from_pem(SHORT_PUBLIC);
    survives_text(&words, &[valid], |text| {
        let _ = RecipientsFile::parse(text, read);
    });
}

const MANTLES: [&str; 13] = [
    "marathons:",
    "key_directory: ",
    "username: ",
    "!!binary ",
    "|",
    "\n",
    "  ",
    "- ",
    "[",
    "]",
    "a: ",
    "AAAA",
    "=",
];

#[test]
fn mantles_stores() {
    let key = MantleKey::from_pem(MANTLE).expect("a committed key");
    // Each entry that is read is decrypted: one is enough.
    let one = STORE.split("db_password").next().expect("its first entry");
    survives(&MANTLES, &[format!("{one}username: sally\n")], |bytes| {
        let _ = Store::open(bytes, &key);
    });
}

#[test]
fn mantles_configurations() {
    survives(&MANTLES, &[CONFIG], |bytes| {
        let _ = Config::parse(bytes);
    });
}

#[test]
fn names() {
    let words = [
        "/",
        "~0",
        "~1",
        "~",
        "0",
        "-",
        "a",
        "sha256:",
        "\u{e4}",
        "\n",
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
    ];
    let valid = [
        "/a/b~1c/0",
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "json",
    ];
    survives_text(&words, &valid.map(str::to_owned), |text| {
        if let Ok(pointer) = text.parse::<Pointer>() {
            assert_eq!(pointer.as_str(), text);
            assert_eq!(
                pointer
                    .tokens()
                    .fold(Pointer::root(), |path, token| path.join(&token)),
                pointer
            );
        }
        if let Ok(id) = text.parse::<DocumentId>() {
            assert_eq!(id.as_str(), text);
        }
        if let Ok(name) = text.parse::<Thumbprint>() {
            assert_eq!(name.as_str(), text);
        }
        if let Ok(digest) = text.parse::<Digest>() {
            assert_eq!(digest.to_string().len(), 71);
        }
        let _ = text.parse::<Format>();
    });
}
