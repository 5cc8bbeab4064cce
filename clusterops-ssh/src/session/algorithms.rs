//! What is offered to a server: the configuration's lists, as far as russh has what they name; and how
//! long an RSA key must be.

use std::borrow::Cow;
use std::time::Duration;

use russh::client;
use russh::keys::ssh_key::Algorithm;
use russh::keys::ssh_key::public::KeyData;
use russh::{Limits, Preferred, cipher, compression, kex, mac};

use super::settings::Offer;
use crate::config::Algorithms;
use crate::{Error, ErrorKind, Result};

/// RFC 4253 section 9 and RFC 4344 section 3.2 advise new keys at least after this many bytes; russh takes no more.
const MOST_BYTES: usize = 1 << 30;

/// Names in a list of key exchanges that are no key exchanges but say what we can do besides (RFC 8308, and OpenSSH's
/// PROTOCOL section 1.10).
const EXTENSIONS: [kex::Name; 2] = [
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// Refuses an RSA key that is too short (`RequiredRSASize`, ssh_config(5)), in words that follow its name.
pub(super) fn check_rsa_size(key: &KeyData, required: u32) -> std::result::Result<(), String> {
    match key.rsa().map(|key| key.key_size()) {
        Some(bits) if bits < required => Err(format!(
            "is an RSA key of {bits} bits, and {required} are required (RequiredRSASize)"
        )),
        _ => Ok(()),
    }
}

impl Offer {
    /// Puts into a configuration of russh what the user's says.
    ///
    /// # Errors
    /// [`ErrorKind::Local`] when russh has none of the algorithms of a list; both lists are named.
    pub(super) fn apply(&self, configuration: &mut client::Config) -> Result<()> {
        let preferred = &mut configuration.preferred;
        if let Some(wanted) = &self.kex {
            let had = kex::ALL_KEX_ALGORITHMS.iter().copied();
            let mut names = offered(
                "KexAlgorithms",
                wanted,
                had.filter(|name| **name != kex::NONE),
            )?;
            names.extend(EXTENSIONS);
            preferred.kex = Cow::Owned(names);
        }
        if let Some(wanted) = &self.ciphers {
            let is_one = |name: &&cipher::Name| ![cipher::CLEAR, cipher::NONE].contains(name);
            let had = cipher::ALL_CIPHERS.iter().copied().filter(is_one);
            preferred.cipher = Cow::Owned(offered("Ciphers", wanted, had)?);
        } else {
            let ciphers = preferred.cipher.to_mut();
            // OpenSSH offers it too, and russh has it; there are servers that take no other.
            ciphers.push(cipher::AES_128_GCM);
            if computes_aes() {
                // Where the processor does the work, they come before ChaCha20, which it does not know.
                let gcm = [cipher::AES_128_GCM, cipher::AES_256_GCM];
                ciphers.retain(|name| !gcm.contains(name));
                ciphers.splice(..0, gcm);
            }
        }
        if let Some(wanted) = &self.macs {
            let had = mac::ALL_MAC_ALGORITHMS.iter().copied();
            preferred.mac = Cow::Owned(offered(
                "MACs",
                wanted,
                had.filter(|name| **name != mac::NONE),
            )?);
        }
        if let Some(wanted) = &self.host_keys {
            let had: Vec<HostKey> = Preferred::DEFAULT
                .key
                .iter()
                .cloned()
                .map(HostKey::new)
                .collect();
            let keys = offered_host_keys(wanted, &had)?;
            preferred.key = keys.into_iter().map(|key| key.algorithm).collect();
        }
        if let Some(is_wanted) = self.compression {
            let none = compression::NONE;
            let zlib = [compression::ZLIB_LEGACY, compression::ZLIB];
            preferred.compression = Cow::Owned(match is_wanted {
                true => zlib.into_iter().chain([none]).collect(),
                false => [none].into_iter().chain(zlib).collect(),
            });
        }
        let limits = &mut configuration.limits;
        if let Some(bytes) = self.rekey_bytes {
            let bytes = usize::try_from(bytes).unwrap_or(MOST_BYTES).min(MOST_BYTES);
            *limits = Limits::new(bytes, bytes, limits.rekey_time_limit);
        }
        if let Some(interval) = self.rekey_interval {
            limits.rekey_time_limit = interval.max(Duration::from_secs(1));
        }
        Ok(())
    }

    /// Whether certificates of this type may be shown.
    pub(super) fn has_certificate(&self, algorithm: &Algorithm) -> bool {
        let name = algorithm.to_certificate_type();
        self.host_keys
            .as_ref()
            .is_none_or(|wanted| wanted.contains(&name))
    }
}

/// Whether this machine's processor has instructions for AES and for GCM's multiplication.
fn computes_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes")
        && std::arch::is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

/// A type of host key and its name.
#[derive(Debug, Clone)]
struct HostKey {
    name: String,
    certificate: String,
    algorithm: Algorithm,
}

impl HostKey {
    fn new(algorithm: Algorithm) -> Self {
        Self {
            name: algorithm.to_string(),
            certificate: algorithm.to_certificate_type(),
            algorithm,
        }
    }
}

/// Those that are wanted and that russh has, in the order in which they are wanted.
fn offered<'a, N: AsRef<str> + Copy + 'a>(
    keyword: &str,
    wanted: &Algorithms,
    had: impl Iterator<Item = &'a N>,
) -> Result<Vec<N>> {
    let had: Vec<&N> = had.collect();
    let find = |name: &String| had.iter().find(|known| known.as_ref() == name.as_str());
    let names: Vec<N> = wanted.iter().filter_map(find).map(|name| **name).collect();
    if names.is_empty() {
        let had: Vec<&str> = had.iter().map(|name| name.as_ref()).collect();
        return Err(nothing_left(keyword, wanted, &had));
    }
    Ok(names)
}

/// As [`offered`]; a certificate's type stands for that of its key too, which russh offers beside it.
fn offered_host_keys(wanted: &Algorithms, had: &[HostKey]) -> Result<Vec<HostKey>> {
    let mut keys: Vec<HostKey> = Vec::new();
    for name in wanted.iter() {
        let known = had
            .iter()
            .find(|key| key.name == *name || key.certificate == *name);
        if let Some(key) = known.filter(|key| keys.iter().all(|other| other.name != key.name)) {
            keys.push(key.clone());
        }
    }
    if keys.is_empty() {
        let had: Vec<&str> = had.iter().map(|key| key.name.as_str()).collect();
        return Err(nothing_left("HostKeyAlgorithms", wanted, &had));
    }
    Ok(keys)
}

fn nothing_left(keyword: &str, wanted: &Algorithms, had: &[&str]) -> Error {
    let had = had.join(",");
    let message = format!("{keyword} leaves nothing to offer: it names {wanted}; there are {had}");
    Error::new(ErrorKind::Local, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Query};

    fn offer(config: &str) -> Offer {
        let config = Config::parse(config, "test").expect("a configuration");
        let host = config.resolve(&Query::new("web1")).expect("it resolves");
        let set = |keyword: &str, list: &Algorithms| host.origin(keyword).map(|_| list.clone());
        Offer {
            kex: set("KexAlgorithms", &host.kex_algorithms),
            host_keys: set("HostKeyAlgorithms", &host.host_key_algorithms),
            ciphers: set("Ciphers", &host.ciphers),
            macs: set("MACs", &host.macs),
            compression: host.origin("Compression").map(|_| host.compression),
            rekey_bytes: host.rekey_bytes,
            rekey_interval: host.rekey_interval,
        }
    }

    fn names<N: AsRef<str>>(list: &[N]) -> Vec<&str> {
        list.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn what_russh_lacks_is_left_out() {
        let mut configuration = client::Config::default();
        offer(
            "Ciphers aes128-gcm@openssh.com,aes192-ctr,rijndael-cbc@lysator.liu.se\nMACs umac-64@openssh.com,hmac-sha1\n\
             KexAlgorithms sntrup761x25519-sha512@openssh.com,ecdh-sha2-nistp256\nCompression yes\nRekeyLimit 64K 5m\n\
             HostKeyAlgorithms ssh-ed25519-cert-v01@openssh.com,rsa-sha2-256,ssh-ed25519,ssh-dss\n",
        )
        .apply(&mut configuration)
        .expect("something is left");
        let preferred = &configuration.preferred;
        assert_eq!(
            names(&preferred.cipher),
            ["aes128-gcm@openssh.com", "aes192-ctr"]
        );
        assert_eq!(names(&preferred.mac), ["hmac-sha1"]);
        let kex = names(&preferred.kex);
        assert_eq!(kex[0], "ecdh-sha2-nistp256");
        assert!(kex.contains(&"kex-strict-c-v00@openssh.com"), "{kex:?}");
        let keys: Vec<String> = preferred.key.iter().map(ToString::to_string).collect();
        assert_eq!(keys, ["ssh-ed25519", "rsa-sha2-256"]);
        assert_eq!(names(&preferred.compression)[0], "zlib@openssh.com");
        assert_eq!(configuration.limits.rekey_write_limit, 64 << 10);
        assert_eq!(
            configuration.limits.rekey_time_limit,
            Duration::from_secs(300)
        );
    }

    #[test]
    fn a_list_with_nothing_left_is_an_error_that_names_both() {
        for (config, wanted, had) in [
            (
                "Ciphers rijndael-cbc@lysator.liu.se",
                "rijndael-cbc",
                "aes256-ctr",
            ),
            ("MACs umac-128@openssh.com", "umac-128", "hmac-sha2-256"),
            (
                "KexAlgorithms sntrup761x25519-sha512@openssh.com",
                "sntrup761",
                "curve25519-sha256",
            ),
            ("HostKeyAlgorithms ssh-dss", "ssh-dss", "rsa-sha2-512"),
        ] {
            let applied = offer(config).apply(&mut client::Config::default());
            let error = applied.expect_err(config);
            assert!(!error.is_retryable(), "{error}");
            let message = error.message();
            assert!(
                message.contains(wanted) && message.contains(had),
                "{message}"
            );
        }
    }

    #[test]
    fn a_cipher_of_openssh_that_russh_has_is_offered_by_default() {
        let mut configuration = client::Config::default();
        let applied = Offer::default().apply(&mut configuration);
        applied.expect("nothing is asked for");
        let ciphers: Vec<&str> = configuration
            .preferred
            .cipher
            .iter()
            .map(AsRef::as_ref)
            .collect();
        let (first, last) = match computes_aes() {
            true => ("aes128-gcm@openssh.com", "aes128-ctr"),
            false => ("chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com"),
        };
        assert_eq!(
            (ciphers.first(), ciphers.last()),
            (Some(&first), Some(&last))
        );
        assert_eq!(ciphers.len(), 6);
    }
}
