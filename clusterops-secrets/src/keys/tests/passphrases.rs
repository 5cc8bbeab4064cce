//! Private keys under passphrases.

use ::pkcs8::EncryptedPrivateKeyInfoRef;
use ::pkcs8::der::Encode as _;
use ::pkcs8::der::asn1::OctetStringRef;
use ::pkcs8::pkcs5::EncryptionScheme;
use ::pkcs8::pkcs5::pbes2::{self, Kdf};

use super::*;

const BEN_BY_OPENSSL: &str = include_str!("../data/ben.openssl.pem");

#[test]
fn private_keys_come_back_under_their_passphrase_only() {
    let key = PrivateKey::from_pem(BEN, None).expect("a key");
    let pem = key.to_pem(&passphrase("open sésame")).expect("a PEM");
    let pem = pem.expose_secret();
    assert!(pem.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    let again = PrivateKey::from_pem(pem, Some(&passphrase("open sésame"))).expect("the key");
    assert_eq!(again.public_key(), key.public_key());
    let message = |passphrase: Option<&SecretString>| {
        PrivateKey::from_pem(pem, passphrase)
            .expect_err("no key")
            .to_string()
    };
    assert!(message(Some(&passphrase("open sesame"))).contains("the passphrase is wrong"));
    assert!(message(None).contains("needs its passphrase"));
    assert!(
        key.to_pem(&passphrase(""))
            .expect_err("empty")
            .to_string()
            .contains("empty passphrase")
    );
    let plain = key.danger_to_unencrypted_pem().expect("a PEM");
    assert_eq!(plain.expose_secret(), BEN);
}

#[test]
fn what_openssl_has_encrypted_is_read() {
    let key =
        PrivateKey::from_pem(BEN_BY_OPENSSL, Some(&passphrase("opensesame"))).expect("the key");
    assert_eq!(key.public_key().to_pem(), BEN_PUBLIC);
}

/// The example key, encrypted as somebody else would: with SHA-1, with DES, with PBES1.
#[test]
fn other_encryptions_are_not_taken_for_a_wrong_passphrase() {
    for pem in [
        include_str!("../data/sig.sha1.pem"),
        include_str!("../data/sig.des3.pem"),
        include_str!("../data/sig.pbes1.pem"),
    ] {
        let error =
            SigningKey::from_pem(pem, Some(&passphrase("opensesame"))).expect_err("not supported");
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(
            error
                .to_string()
                .contains("not supported (PBES2 with scrypt"),
            "{error}"
        );
    }
    let pbkdf2 = include_str!("../data/sig.pbkdf2.pem");
    let key = SigningKey::from_pem(pbkdf2, Some(&passphrase("opensesame"))).expect("the key");
    assert_eq!(key.verifying_key().to_pem(), SIGNER_PUBLIC);
}

/// An encrypted key whose file says how a passphrase is made into a key.
fn derived_with(kdf: Kdf) -> String {
    let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] };
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: EncryptionScheme::Pbes2(pbes2::Parameters { kdf, encryption }),
        encrypted_data: OctetStringRef::new(&[0; 64]).expect("bytes"),
    };
    pem(
        "ENCRYPTED PRIVATE KEY",
        &info.to_der().expect("it is encoded"),
    )
}

#[test]
fn what_a_passphrase_costs_is_limited_and_never_panics() {
    let scrypt = |n, r, p| {
        Kdf::Scrypt(pbes2::ScryptParams {
            salt: pbes2::Salt::new([7; 16]).expect("a salt"),
            cost_parameter: n,
            block_size: r,
            parallelization: p,
            key_length: None,
        })
    };
    let pbkdf2 = |rounds| {
        let mut params = pbes2::Pbkdf2Params::hmac_sha256(1, &[7; 16]).expect("a salt");
        params.iteration_count = rounds;
        Kdf::Pbkdf2(params)
    };
    let message = |kdf| {
        let error = PrivateKey::from_pem(&derived_with(kdf), Some(&passphrase("a")));
        let error = error.expect_err("zeros are no key");
        assert_eq!(error.kind(), ErrorKind::Key);
        error.to_string()
    };
    for (n, r, p) in [
        (0, 8, 1),
        (1, 8, 1),
        (3, 8, 1),
        (1 << 14, 0, 1),
        (1 << 14, 8, 0),
    ] {
        assert!(
            message(scrypt(n, r, p)).contains("not supported"),
            "{n} {r} {p}"
        );
    }
    for (n, r, p) in [
        (1 << 63, u16::MAX, u16::MAX),
        (1 << 40, 8, 1),
        (1 << 20, 9, 1),
        (1 << 20, 8, 5),
        (2, u16::MAX, u16::MAX),
    ] {
        assert!(
            message(scrypt(n, r, p)).contains("the limit"),
            "{n} {r} {p}"
        );
    }
    for rounds in [10_000_001, u32::MAX] {
        assert!(message(pbkdf2(rounds)).contains("the limit"), "{rounds}");
    }
    // What is allowed is tried.
    for kdf in [scrypt(2, 1, 1), scrypt(1 << 14, 8, 5), pbkdf2(0), pbkdf2(1)] {
        assert!(message(kdf).contains("the passphrase is wrong"));
    }
}
