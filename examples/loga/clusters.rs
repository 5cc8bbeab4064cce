//! The clusters, and who we are there.

use std::path::Path;

use clusterops::http::HttpOptions;
use clusterops::logs::Client;
use clusterops::secrecy::{ExposeSecret as _, SecretString};

use crate::command_line::Result;
use crate::complain;
use crate::passphrase::ask_for;
use crate::settings::{Access, Identity, Settings};

/// A cluster by its name, which is empty where there is one.
pub(crate) struct Cluster {
    pub(crate) name: String,
    pub(crate) client: Client,
}

/// A document can have as much as servers take in one request: 100 MB unless they are told otherwise
/// (`http.max_content_length`).
const LONGEST_ANSWER: usize = 128 << 20;

pub(crate) fn connect(settings: &Settings) -> Result<Vec<Cluster>> {
    let trusted = trusted(&settings.access)?;
    let mut clusters = Vec::new();
    for (name, urls) in &settings.clusters {
        // Nobody is asked for a password that is not sent.
        let is_anything_sent = !settings.is_printed || settings.needs_fields();
        let identity = settings.access.at(name).filter(|_| is_anything_sent);
        let options = match identity {
            Some(identity) => identified(trusted.clone(), identity, name)?,
            None => trusted.clone(),
        };
        // Without credentials what is sent is a query, as everybody on the way sees the logs anyway.
        let is_plain = identity.is_none() || settings.access.plain_http;
        let client = Client::new(urls, options.danger_plain_http(is_plain));
        let client = client.map_err(|error| {
            // By the name that it has here.
            let why = error.to_string();
            let why = why.replace("`HttpOptions::danger_plain_http`", "--danger-plain-http");
            // Names and passwords were refused before.
            let urls = urls.join(" or ");
            let why = why.replace(
                "the URL of a server is none",
                &format!("`{urls}` is no URL of a server"),
            );
            match &**name {
                "" => why,
                name => format!("the cluster {name}: {why}"),
            }
        })?;
        clusters.push(Cluster {
            name: name.clone(),
            client,
        });
    }
    Ok(clusters)
}

fn trusted(access: &Access) -> Result<HttpOptions> {
    let mut options = HttpOptions::default().body_limit(LONGEST_ANSWER);
    for path in &access.authorities {
        options = options.authority(read(path)?);
    }
    if let Some((chain, key)) = &access.certificate {
        options = options.client_certificate(read(chain)?, SecretString::from(read(key)?));
    }
    Ok(options)
}

/// Says who we are.
fn identified(options: HttpOptions, identity: &Identity, cluster: &str) -> Result<HttpOptions> {
    let secret = |variable: &str, switch: &str| {
        let secret = std::env::var(variable).ok().filter(|text| !text.is_empty());
        secret.map(SecretString::from).ok_or_else(|| {
            format!("the environment has no text in {variable}, which {switch} names")
        })
    };
    Ok(match identity {
        Identity::User(user) => options.basic(user, password(user, cluster)?),
        Identity::ApiKey(variable) => {
            let key = secret(variable, "--api-key-env")?;
            let key = SecretString::from(format!("ApiKey {}", key.expose_secret()));
            options.api_key("Authorization", key)
        }
        Identity::Bearer(variable) => options.bearer(secret(variable, "--bearer-env")?),
    })
}

/// The variable of the password at a cluster.
pub(crate) fn password_variable(cluster: &str) -> String {
    let name = cluster.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    format!("LOGA_PASSWORD_{}", name.to_ascii_uppercase())
}

fn password(user: &str, cluster: &str) -> Result<SecretString> {
    let own = match cluster {
        "" => None,
        name => Some(password_variable(name)),
    };
    let mut variables = own.iter().map(String::as_str).chain(["LOGA_PASSWORD"]);
    if let Some(password) = variables.find_map(|name| std::env::var(name).ok()) {
        return Ok(SecretString::from(password));
    }
    let at = match cluster {
        "" => String::new(),
        name => format!(" at {name}"),
    };
    let variable = own.as_deref().unwrap_or("LOGA_PASSWORD");
    ask_for(
        &format!("password of {user}{at}"),
        &format!("the variable {variable} can hold it"),
    )
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
