//! OpenSSH's certificates: whether one proves that a host is the host, and how one is named in errors.
//!
//! The rules are those of OpenSSH's `PROTOCOL.certkeys`, and of `sshkey_cert_check_host` in OpenSSH 10.3, which refuses
//! a certificate without principals (CVE-2024-7594) and lets principals of hosts have wildcards.

use jiff::Timestamp;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::{Algorithm, Certificate, HashAlg};

use crate::config::Algorithms;
use crate::known_hosts::{self, PublicKey};

/// The key that signed a certificate; none when that is a certificate itself, which proves nothing.
pub(crate) fn authority(certificate: &Certificate) -> Option<PublicKey> {
    PublicKey::from_key_data(certificate.signature_key())
}

/// Checks everything but whether the authority is trusted: that it signed this, for a host of this name, for this time,
/// with one of these algorithms (`CASignatureAlgorithms`, ssh_config(5)).
///
/// The error says, in words that follow a description of the certificate, what is wrong.
pub(crate) fn check_host(
    certificate: &Certificate,
    name: &str,
    signatures: Option<&Algorithms>,
    now: Timestamp,
) -> Result<(), String> {
    let by_authority = [certificate.signature_key().fingerprint(HashAlg::Sha256)];
    if certificate.cert_type() != CertType::Host {
        return Err("is for a user, not for a host".to_owned());
    }
    check_time(certificate, now)?;
    let principals = certificate.valid_principals();
    let name = name.to_ascii_lowercase();
    if !principals
        .iter()
        .any(|pattern| known_hosts::matches_pattern(&name, pattern))
    {
        return Err(match principals {
            [] => "names no host that it is for".to_owned(),
            _ => format!("is for {}, not for {name}", listed(principals)),
        });
    }
    if let Some(option) = certificate.critical_options().keys().next() {
        return Err(format!(
            "has the critical option `{}`, which host certificates do not have",
            clean(option)
        ));
    }
    let algorithm = certificate.signature().algorithm();
    let is_accepted = match signatures {
        Some(names) => names.iter().any(|name| name == algorithm.as_str()),
        // SHA-1 has not been among them since OpenSSH 8.2.
        None => !matches!(algorithm, Algorithm::Rsa { hash: None } | Algorithm::Dsa),
    };
    if !is_accepted {
        return Err(format!("is signed with {algorithm}, which is not accepted"));
    }
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    certificate
        .validate_at(seconds, &by_authority)
        .map_err(|_| "was not signed by its authority".to_owned())
}

/// Checks that now lies in the time that a certificate is for.
pub(crate) fn check_time(certificate: &Certificate, now: Timestamp) -> Result<(), String> {
    // A clock before 1970 is before every certificate.
    let seconds = u64::try_from(now.as_second()).unwrap_or_default();
    let (after, before) = (certificate.valid_after(), certificate.valid_before());
    let (time, verb) = if seconds < after {
        (after, "is not valid before")
    } else if seconds >= before {
        (before, "expired on")
    } else {
        return Ok(());
    };
    let time = i64::try_from(time)
        .ok()
        .and_then(|time| Timestamp::from_second(time).ok());
    let time = time.map_or("the end of time".to_owned(), |time| time.to_string());
    Err(format!(
        "{verb} {time} (this machine's clock says {now:.0})"
    ))
}

/// A certificate as errors name it: its type, its key id, and its serial number.
pub(crate) fn describe(certificate: &Certificate) -> String {
    format!(
        "{} certificate {:?} (serial {})",
        certificate.algorithm(),
        clean(certificate.key_id()),
        certificate.serial()
    )
}

fn listed(principals: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text: Vec<String> = principals
        .iter()
        .take(SHOWN)
        .map(|name| clean(name))
        .collect();
    if principals.len() > SHOWN {
        text.push(format!("{} more", principals.len() - SHOWN));
    }
    text.join(", ")
}

/// What a server sent, fit for a terminal.
fn clean(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(200)
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that fails says where")]
mod tests {
    use russh::keys::PrivateKey;
    use russh::keys::key::safe_rng;
    use russh::keys::ssh_key::certificate::Builder;

    use super::*;

    fn key() -> PrivateKey {
        PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()
    }

    /// A certificate from second 1,000 to second 2,000, with what `add` adds.
    fn signed(kind: CertType, add: impl FnOnce(&mut Builder)) -> Certificate {
        let host = key();
        let mut builder =
            Builder::new_with_random_nonce(&mut safe_rng(), host.public_key(), 1000, 2000).unwrap();
        builder.cert_type(kind).unwrap();
        add(&mut builder);
        builder.sign(&key()).unwrap()
    }

    fn for_hosts(names: &[&str]) -> Certificate {
        signed(CertType::Host, |builder| {
            for name in names {
                builder.valid_principal(*name).unwrap();
            }
        })
    }

    fn check(certificate: &Certificate, name: &str, second: i64) -> Result<(), String> {
        check_host(
            certificate,
            name,
            None,
            Timestamp::from_second(second).unwrap(),
        )
    }

    #[test]
    fn a_certificate_holds_for_its_hosts() {
        let certificate = for_hosts(&["web1", "web1.example.com", "*.b"]);
        for name in ["web1", "WEB1", "web1.example.com", "x.b"] {
            assert_eq!(check(&certificate, name, 1500), Ok(()), "{name}");
        }
        let error = check(&certificate, "web2", 1500).unwrap_err();
        assert_eq!(error, "is for web1, web1.example.com, *.b, not for web2");
        let nobody = signed(CertType::Host, |builder| {
            builder.all_principals_valid().unwrap();
        });
        let error = check(&nobody, "web1", 1500).unwrap_err();
        assert_eq!(error, "names no host that it is for");
    }

    #[test]
    fn a_certificate_holds_for_its_time() {
        let certificate = for_hosts(&["web1"]);
        for (second, holds) in [(999, false), (1000, true), (1999, true), (2000, false)] {
            assert_eq!(
                check(&certificate, "web1", second).is_ok(),
                holds,
                "{second}"
            );
        }
        assert_eq!(
            check(&certificate, "web1", 2000).unwrap_err(),
            "expired on 1970-01-01T00:33:20Z (this machine's clock says 1970-01-01T00:33:20Z)"
        );
        let early = check(&certificate, "web1", 0).unwrap_err();
        assert!(
            early.starts_with("is not valid before 1970-01-01T00:16:40Z"),
            "{early}"
        );
    }

    #[test]
    fn a_certificate_for_something_else_is_refused() {
        let user = signed(CertType::User, |builder| {
            builder.valid_principal("web1").unwrap();
        });
        assert_eq!(
            check(&user, "web1", 1500).unwrap_err(),
            "is for a user, not for a host"
        );
        let critical = signed(CertType::Host, |builder| {
            builder.valid_principal("web1").unwrap();
            builder.critical_option("force-command", "true").unwrap();
        });
        let error = check(&critical, "web1", 1500).unwrap_err();
        assert!(error.contains("`force-command`"), "{error}");
    }

    #[test]
    fn a_forged_certificate_is_refused() {
        let certificate = for_hosts(&["web1"]);
        let bytes = certificate.to_bytes().unwrap();
        let place = bytes.windows(4).position(|text| text == b"web1").unwrap();
        let mut forged = bytes;
        forged[place + 3] = b'2';
        let forged = Certificate::from_bytes(&forged).unwrap();
        let error = check(&forged, "web2", 1500).unwrap_err();
        assert_eq!(error, "was not signed by its authority");
    }
}
