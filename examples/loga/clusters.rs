//! The clusters, and who we are there.

use std::path::Path;

use clusterops::http::HttpOptions;
use clusterops::logs::Client;
use clusterops::secrecy::{ExposeSecret as _, SecretString};

use crate::command_line::Result;
use crate::complain;
use crate::passphrase::ask_for;
use crate::settings::Settings;

/// A cluster by its name, which is empty where there is one.
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) client: Client,
}

pub(crate) fn connect(settings: &Settings) -> Result<Vec<Cluster>> {
    // Nobody is asked for a password that is not sent.
    let is_sent = !settings.is_printed || settings.needs_fields();
    let options = match is_sent {
        true => options(settings)?,
        false => HttpOptions::default().danger_plain_http(true),
    };
    let connect = |(name, urls): &(String, Vec<String>)| {
        let client = Client::new(urls, options.clone());
        let client = client.map_err(|error| match &**name {
            "" => error.to_string(),
            name => format!("the cluster {name}: {error}"),
        })?;
        Ok(Cluster {
            name: name.clone(),
            client,
        })
    };
    settings.clusters.iter().map(connect).collect()
}

fn options(settings: &Settings) -> Result<HttpOptions> {
    let access = &settings.access;
    let mut options = HttpOptions::default();
    for path in &access.authorities {
        options = options.authority(read(path)?);
    }
    if let Some((chain, key)) = &access.certificate {
        options = options.client_certificate(read(chain)?, SecretString::from(read(key)?));
    }
    if let Some(user) = &access.user {
        let password = match std::env::var("LOGA_PASSWORD") {
            Ok(password) => SecretString::from(password),
            Err(_) => ask_for(
                &format!("password of {user}"),
                "the variable LOGA_PASSWORD can hold it",
            )?,
        };
        options = options.basic(user, password);
    }
    if let Some(variable) = &access.api_key_variable {
        let key = std::env::var(variable).map(SecretString::from);
        let key = key.map_err(|_| {
            format!("the environment has no text in {variable}, which --api-key-env names")
        })?;
        let key = SecretString::from(format!("ApiKey {}", key.expose_secret()));
        options = options.api_key("Authorization", key);
    }
    // Without credentials what is sent is a query, as everybody on the way sees the logs anyway.
    let is_anonymous = access.user.is_none() && access.api_key_variable.is_none();
    Ok(options.danger_plain_http(is_anonymous || access.plain_http))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Says that the others go on without a cluster, and why.
pub(crate) fn tell_left_out(name: &str, error: clusterops::logs::Error) {
    complain(&LeftOut {
        name: name.to_owned(),
        error,
    });
}

#[derive(Debug)]
struct LeftOut {
    name: String,
    error: clusterops::logs::Error,
}

impl std::fmt::Display for LeftOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the cluster {} is left out", self.name)
    }
}

impl std::error::Error for LeftOut {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
