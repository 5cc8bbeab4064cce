//! What signers do.

use ::rsa::traits::PublicKeyParts as _;

use super::*;
use crate::jose::base64url;

#[test]
fn signatures_hold_for_one_message_and_one_key() {
    let ed25519 = SigningKey::from_pem(SIGNER, None).expect("a key");
    let rsa = PrivateKey::from_pem(BEN, None).expect("a key");
    let keys = [
        (Signer::from(&ed25519), ed25519.verifying_key().clone()),
        (
            Signer::from(&rsa),
            VerifyingKey::from_pem(BEN_PUBLIC).expect("a key"),
        ),
    ];
    for (signer, verifying) in &keys {
        assert_eq!(signer.thumbprint(), verifying.thumbprint());
        assert_eq!(signer.algorithm(), verifying.algorithm());
        let signature = signer.sign(b"message").expect("it signs");
        assert!(verifying.verify(b"message", &signature));
        assert!(!verifying.verify(b"massage", &signature));
        for index in (0..signature.len()).step_by(7) {
            let mut changed = signature.clone();
            changed[index] ^= 1;
            assert!(!verifying.verify(b"message", &changed), "byte {index}");
        }
        assert!(!verifying.verify(b"message", &signature[1..]));
        assert!(!verifying.verify(b"message", &[]));
        for (_, other) in keys.iter().filter(|(_, other)| other != verifying) {
            assert!(!other.verify(b"message", &signature));
        }
    }
}

#[test]
fn rfc_8037_signs_alike() {
    // Appendix A.1 and A.4: the key, and the signature of the signing input.
    let seed = base64url::decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("a seed");
    // PKCS#8 around it (RFC 8410 section 7).
    let der = [
        &data_encoding::HEXLOWER
            .decode(b"302e020100300506032b657004220420")
            .expect("hex")[..],
        &seed,
    ]
    .concat();
    let key = SigningKey::from_pem(&pem("PRIVATE KEY", &der), None).expect("a key");
    assert_eq!(
        key.verifying_key().to_jwk(),
        r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
    );
    let input = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let signature = base64url::decode(signature).expect("a signature");
    assert_eq!(Signer::from(&key).sign(input).expect("it signs"), signature);
    assert!(key.verifying_key().verify(input, &signature));
}

/// Without blinding, a decryption takes no randomness, and a signature no more than its salt.
#[tokio::test]
async fn what_a_private_rsa_key_does_is_blinded() {
    use sha2::{Digest as _, Sha256};

    let key = PrivateKey::from_pem(BEN, None).expect("a key");
    let wrapped = key.public_key().wrap(&[7; 32]).expect("it wraps");
    let output = |counter: u64| <[u8; 32]>::from(Sha256::digest(counter.to_be_bytes()));
    random::tests::count_from_zero();
    assert_eq!(random::bytes(), output(0));
    random::tests::count_from_zero();
    assert!(key.unwrap(&wrapped).await.expect("no failure").is_some());
    assert_ne!(random::bytes(), output(0));
    random::tests::count_from_zero();
    Signer::from(&key).sign(b"message").expect("it signs");
    assert_ne!(random::bytes(), output(1));
}

#[test]
fn a_signature_has_one_spelling() {
    let key = PrivateKey::from_pem(BEN, None).expect("a key");
    let verifying = VerifyingKey::from_pem(BEN_PUBLIC).expect("a key");
    let modulus = key.public_key().inner().n().to_be_bytes();
    // The same number modulo `n`, of the same length: about every second signature has one.
    let (signature, other) = (0..100)
        .find_map(|_| {
            let signature = Signer::from(&key).sign(b"message").expect("it signs");
            let mut carry = 0;
            let mut sum: Vec<u8> = signature
                .iter()
                .zip(&modulus[..])
                .rev()
                .map(|(a, b)| {
                    let sum = u16::from(*a) + u16::from(*b) + carry;
                    carry = sum >> 8;
                    sum.to_le_bytes()[0]
                })
                .collect();
            sum.reverse();
            (carry == 0).then_some((signature, sum))
        })
        .expect("one of a hundred");
    assert!(verifying.verify(b"message", &signature));
    assert!(!verifying.verify(b"message", &other));
    assert!(!verifying.verify(b"message", &[&[0], &signature[..]].concat()));
}
