//! Sealed documents opened by other JOSE libraries, and theirs by us; and documents with a flipped bit, which nobody opens.
//!
//! `CLUSTEROPS_ORACLE_PYTHON` names a Python that has jwcrypto and joserfc, `CLUSTEROPS_ORACLE_NODE` a folder with the npm
//! package `jose`. `peer.py` and `peer.mjs` say what passes between us and them.

#[path = "../support/oracle.rs"]
mod oracle;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use clusterops::secrets::secrecy::ExposeSecret as _;
use clusterops::secrets::{
    DocumentId, Format, PrivateKey, PublicKey, Recipients, SealOptions, open, seal,
};
use fastrand::Rng;
use oracle::{Oracle, skip_or_fail};
use serde_json::{Map, Value, json};

const KEYS: [&str; 5] = [
    include_str!("../../clusterops-secrets/src/keys/data/ana.pem"),
    include_str!("../../clusterops-secrets/src/keys/data/ben.pem"),
    include_str!("../../clusterops-secrets/src/keys/data/cyd.pem"),
    include_str!("dee.pem"),
    include_str!("eve.pem"),
];

/// A document's values, by path.
type Values = BTreeMap<String, String>;

/// A document as it is before it is sealed.
struct Case {
    id: DocumentId,
    values: Values,
    /// Which of the keys are recipients'.
    recipients: Vec<usize>,
}

impl Case {
    fn generate(random: &mut Rng) -> Self {
        let mut keys: Vec<usize> = (0..KEYS.len()).collect();
        random.shuffle(&mut keys);
        keys.truncate(random.usize(1..=KEYS.len()));
        let id = format!("/{}", text(random, "az-/\u{e9} \"\\", 1..9));
        let mut values = Values::new();
        for number in 0..random.usize(1..5) {
            let name = text(random, "AZ_/~\"\\ \u{1f980}", 0..6)
                .replace('~', "~0")
                .replace('/', "~1");
            let length = if random.u8(..) == 0 { 5000 } else { 40 };
            values.insert(
                format!("/env/{name}{number}"),
                text(
                    random,
                    "aZ0:]['\"\\\n\r\t$\u{e4}\u{1f980}\u{feff}\0",
                    0..length,
                ),
            );
        }
        Self {
            id: id.parse().expect("an id"),
            values,
            recipients: keys,
        }
    }

    /// The document with these texts for its values.
    fn document(&self, text: impl Fn(&str, &str) -> String) -> Value {
        let member = |(path, value): (&String, &String)| {
            let name = path["/env/".len()..].replace("~1", "/").replace("~0", "~");
            (name, Value::from(text(path, value)))
        };
        json!({"id": self.id.as_str(), "env": Value::Object(self.values.iter().map(member).collect())})
    }

    fn options(&self, keys: &[PrivateKey]) -> SealOptions {
        let recipient = |index: &usize| (index.to_string(), keys[*index].public_key().clone());
        SealOptions::new(
            Recipients::new(self.recipients.iter().map(recipient)).expect("recipients"),
        )
    }

    fn sealed(&self, keys: &[PrivateKey]) -> String {
        let marked = self.document(|_, value| format!("ENC[v:{value}]"));
        let sealed =
            seal(&marked.to_string(), Format::Json, &self.options(keys)).expect("it seals");
        sealed.text.to_string()
    }

    /// What is wrong with what one of the keys opens a document to; nothing when it is right.
    fn difference(
        &self,
        text: &str,
        key: &PrivateKey,
        runtime: &tokio::runtime::Runtime,
    ) -> Option<String> {
        match runtime.block_on(open(text, Format::Json, &self.id, &[key])) {
            Err(error) => Some(error.to_string()),
            Ok(opened) => {
                let value =
                    |(path, value): (
                        &clusterops::secrets::Pointer,
                        &clusterops::secrets::secrecy::SecretString,
                    )| { (path.to_string(), value.expose_secret().to_owned()) };
                let values: Values = opened.values().map(value).collect();
                (values != self.values).then(|| format!("{values:?} is not {:?}", self.values))
            }
        }
    }
}

/// Some characters of these, and some between them.
fn text(random: &mut Rng, characters: &str, length: Range<usize>) -> String {
    let characters: Vec<char> = characters.chars().collect();
    (0..random.usize(length))
        .map(|_| characters[random.usize(..characters.len())])
        .collect()
}

fn keys() -> Vec<PrivateKey> {
    KEYS.iter()
        .map(|pem| PrivateKey::from_pem(pem, None).expect("a committed key"))
        .collect()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime")
}

#[test]
fn other_libraries_open_what_we_seal_and_seal_what_we_open() {
    let variable = |name: &str, what: &str| {
        let reason = format!("{name} names no {what}");
        std::env::var_os(name).ok_or(reason)
    };
    let python = variable(
        "CLUSTEROPS_ORACLE_PYTHON",
        "Python interpreter with jwcrypto and joserfc",
    );
    let node = variable(
        "CLUSTEROPS_ORACLE_NODE",
        "folder with the npm package `jose`",
    );
    let (python, node) = match (python, node) {
        (Ok(python), Ok(node)) => (python, node),
        (Err(reason), _) | (_, Err(reason)) => return skip_or_fail("secrets_oracle", &reason),
    };
    let script = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/secrets_oracle")
            .join(name)
            .into_os_string()
    };
    let peers: [(&str, Vec<OsString>); 3] = [
        (
            "jwcrypto",
            vec![python.clone(), script("peer.py"), "jwcrypto".into()],
        ),
        ("joserfc", vec![python, script("peer.py"), "joserfc".into()]),
        ("jose", vec!["node".into(), script("peer.mjs"), node]),
    ];
    let oracle = Oracle::new("secrets", 60, 1000);
    let (keys, runtime) = (keys(), runtime());
    let random = &mut Rng::with_seed(oracle.seed);
    let cases: Vec<Case> = (0..oracle.cases).map(|_| Case::generate(random)).collect();

    // Each recipient opens each document: with each library what we have sealed, with us what each library has.
    let ours: Vec<(String, &Case)> = cases
        .iter()
        .map(|case| (case.sealed(&keys), case))
        .collect();
    let openings: Vec<(&String, &Case, usize)> = ours
        .iter()
        .flat_map(|(text, case)| {
            case.recipients
                .iter()
                .map(move |index| (text, *case, *index))
        })
        .collect();
    let public = |index: &usize| PublicKey::to_pem(keys[*index].public_key());
    let work = json!({
        "open": openings.iter().map(|(text, _, index)| {
            json!({"document": serde_json::from_str::<Value>(text).expect("JSON"), "key": KEYS[*index]})
        }).collect::<Vec<_>>(),
        "seal": cases.iter().map(|case| {
            json!({
                "document": case.id.as_str(),
                "recipients": case.recipients.iter().map(public).collect::<Vec<_>>(),
                "values": case.values,
            })
        }).collect::<Vec<_>>(),
    });
    let (mut compared, mut differences) = (0, Vec::new());
    for (name, command) in &peers {
        let answer = ask(command, &work);
        let opened = answer["opened"].as_array().expect("a list");
        assert_eq!(opened.len(), openings.len(), "{name}");
        for ((text, case, _), opened) in openings.iter().zip(opened) {
            compared += 1;
            if *opened != json!(case.values) {
                differences.push(format!(
                    "{name} opens {text} to {opened}, not {:?}",
                    case.values
                ));
            }
        }
        let sealed = answer["sealed"].as_array().expect("a list");
        assert_eq!(sealed.len(), cases.len(), "{name}");
        for (case, sealed) in cases.iter().zip(sealed) {
            let token = |path: &str, _: &str| {
                format!(
                    "SEALED[{}]",
                    sealed["tokens"][path].as_str().expect("a token")
                )
            };
            let mut document = case.document(token);
            document["x-sealed"] =
                json!({"version": 1, "document": case.id.as_str(), "epochs": sealed["epochs"]});
            let text = document.to_string();
            for index in &case.recipients {
                compared += 1;
                if let Some(difference) = case.difference(&text, &keys[*index], &runtime) {
                    differences.push(format!("we open what {name} sealed, {text}: {difference}"));
                }
            }
        }
    }
    let what = format!(
        "openings between us and {} ({} documents)",
        peers.each_ref().map(|(name, _)| *name).join(", "),
        cases.len()
    );
    oracle.conclude(compared, &what, &differences);
}

/// Hands a library its work and reads its answer.
fn ask(command: &[OsString], work: &Value) -> Value {
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let mut input = child.stdin.take().expect("a pipe");
    let work = work.to_string();
    let writer = std::thread::spawn(move || input.write_all(work.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    assert!(
        output.status.success(),
        "{command:?} ended with {}",
        output.status
    );
    writer
        .join()
        .expect("no panic")
        .expect("it read all of its work");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn no_flipped_bit_opens() {
    let oracle = Oracle::new("secrets_flips", 10_000, 10_000);
    let (keys, runtime) = (keys(), runtime());
    let random = &mut Rng::with_seed(oracle.seed);
    let mut differences = Vec::new();
    let mut flipped = 0;
    while flipped < oracle.cases {
        let case = Case::generate(random);
        // The longest keys take the longest.
        let opener = *case.recipients.iter().max().expect("at least one");
        let text = case.sealed(&keys);
        let places = places(&text, keys[opener].public_key());
        for _ in 0..50 {
            let range = &places[random.usize(..places.len())];
            let (place, bit) = (random.usize(range.clone()), random.u8(0..8));
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            flipped += 1;
            if let Ok(changed) = String::from_utf8(bytes)
                && runtime
                    .block_on(open(&changed, Format::Json, &case.id, &[&keys[opener]]))
                    .is_ok()
            {
                differences.push(format!("bit {bit} of byte {place} of {text}"));
            }
        }
    }
    oracle.conclude(
        flipped,
        "flipped bits in tokens, shared parts of epochs and entries of the opener",
        &differences,
    );
}

/// Where a flipped bit must be noticed: the tokens, the shared part of the epoch, and the opener's own entry.
fn places(text: &str, opener: &PublicKey) -> Vec<Range<usize>> {
    let document: Map<String, Value> = serde_json::from_str(text).expect("JSON");
    let epochs = document["x-sealed"]["epochs"].as_object().expect("epochs");
    let tokens = document["env"].as_object().expect("values").values();
    let mut parts: Vec<&str> = tokens
        .map(|value| &value.as_str().expect("a string")["SEALED[".len()..])
        .map(|token| &token[..token.len() - 1])
        .collect();
    for (id, epoch) in epochs {
        parts.push(id);
        parts.extend(
            ["protected", "iv", "ciphertext", "tag"]
                .map(|name| epoch[name].as_str().expect("a string")),
        );
        for entry in epoch["recipients"].as_array().expect("entries") {
            let name = entry["header"]["kid"].as_str().expect("a name");
            if name == opener.thumbprint().as_str() {
                parts.extend([name, entry["encrypted_key"].as_str().expect("a key")]);
            }
        }
    }
    let range = |part: &str| {
        let start = text.find(part).expect("it stands there");
        start..start + part.len()
    };
    parts.into_iter().map(range).collect()
}
