//! What the tests of this crate share.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test program uses its own part"
)]

use clusterops_secrets::secrecy::ExposeSecret as _;
use clusterops_secrets::{
    DocumentId, Format, Identity, PrivateKey, Recipients, Result, SealOptions, open,
};

/// Keys that protect nothing.
pub(crate) fn private_key(name: &str) -> PrivateKey {
    let pem = match name {
        "ana" => include_str!("../../src/keys/data/ana.pem"),
        "ben" => include_str!("../../src/keys/data/ben.pem"),
        "cyd" => include_str!("../../src/keys/data/cyd.pem"),
        name => panic!("no key of {name} is committed"),
    };
    PrivateKey::from_pem(pem, None).expect("a committed key")
}

pub(crate) fn recipients(names: &[&str]) -> Recipients {
    let key = |name: &&str| ((*name).to_owned(), private_key(name).public_key().clone());
    Recipients::new(names.iter().map(key)).expect("recipients")
}

pub(crate) fn options(names: &[&str]) -> SealOptions {
    SealOptions::new(recipients(names))
}

pub(crate) fn id(text: &str) -> DocumentId {
    text.parse().expect("an id")
}

/// What a document says when it is opened as `/shop`.
pub(crate) async fn opened(text: &str, format: Format, identity: &dyn Identity) -> Result<String> {
    let opened = open(text, format, &id("/shop"), &[identity]).await?;
    Ok(opened.text().expose_secret().to_owned())
}

pub(crate) const FORMATS: [Format; 3] = [Format::Json, Format::Yaml, Format::Dotenv];
