//! What the tests of this crate share.
#![allow(
    dead_code,
    clippy::allow_attributes,
    reason = "each test program uses its own part"
)]

use std::path::Path;

use clusterops_secrets::secrecy::ExposeSecret as _;
use clusterops_secrets::{
    DocumentId, Format, Identity, PrivateKey, Recipients, Result, SealOptions, SealedFile, open,
    seal,
};
use tempfile::TempDir;

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

/// An app with one value to be sealed.
pub(crate) const APP: &str = "{\n  \"id\": \"/shop\",\n  \"image\": \"shop:1.4\",\n  \"env\": {\n    \"DB\": \"ENC[db:hunter2]\",\n    \"PORT\": 8080\n  }\n}\n";

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("ours");
    std::fs::write(path, text).expect("ours");
}

/// A folder with a sealed `app.json`.
pub(crate) fn sealed_file() -> (TempDir, SealedFile) {
    let folder = folder();
    let path = folder.path().join("app.json");
    let sealed = seal(APP, Format::Json, &options(&["ben"])).expect("it seals");
    write(&path, &sealed.text);
    let file = SealedFile::read(&path).expect("it reads");
    (folder, file)
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("ours");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("ours")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    names
}
