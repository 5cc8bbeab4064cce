//! `cargo bench --bench open`: a document of 1,000 values, sealed for three recipients with RSA keys of 3072 bits.
//!
//! Opening it is compared with what cannot be saved, one private RSA operation and 1,000 decryptions with AES-GCM, and with
//! dotenvx (from npm, below the target folder), which opens a dotenv file with as many values. All of that within a process that
//! has its keys, and no passphrase; whole processes are timed beside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

#[path = "support/mod.rs"]
mod bench;

use aes_gcm::aead::{Aead as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use bench::figures::{median, rounded};
use bench::{Result, project, run, target_folder};
use clusterops::secrets::secrecy::ExposeSecret as _;
use clusterops::secrets::{
    DEFAULT_BITS, DocumentId, Format, Identity as _, PrivateKey, Recipients, SealOptions, open,
    seal,
};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;

const VALUES: usize = 1000;
const ROUNDS: usize = 41;

/// Of dotenvx, which takes its time.
const PEER_ROUNDS: usize = 3;

/// The first argument with which the benchmark calls itself to open a file once.
const OPEN_MODE: &str = "open";

fn main() -> Result<()> {
    bench::dispatch(|mode, rest| match (mode, rest) {
        (Some(OPEN_MODE), [file, key]) => open_once(Path::new(file), Path::new(key)),
        _ => compare(),
    })
}

fn compare() -> Result<()> {
    let (modules, work) = peer()?;
    let keys = (0..3)
        .map(|_| PrivateKey::generate(DEFAULT_BITS))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let recipients = keys
        .iter()
        .enumerate()
        .map(|(index, key)| (index.to_string(), key.public_key().clone()));
    let options = SealOptions::new(Recipients::new(recipients)?);
    let members: Vec<String> = (0..VALUES)
        .map(|number| format!("    \"SECRET_{number}\": \"ENC[s:{}]\"", value(number)))
        .collect();
    let source = format!(
        "{{\n  \"id\": \"/bench\",\n  \"env\": {{\n{}\n  }}\n}}\n",
        members.join(",\n")
    );
    let sealed = seal(&source, Format::Json, &options)?.text;
    let id: DocumentId = "/bench".parse()?;
    let plain = Plain::of(&sealed, &keys[0])?;

    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let (mut seals, mut opens, mut plains, mut ratios) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        seals.push(milliseconds(|| {
            seal(&source, Format::Json, &options)?;
            Ok(())
        })?);
        let own = milliseconds(|| {
            let opened = runtime.block_on(open(&sealed, Format::Json, &id, &[&keys[0]]))?;
            assert_eq!(opened.values().count(), VALUES);
            Ok(())
        })?;
        let least = milliseconds(|| runtime.block_on(plain.work(&keys[0])))?;
        opens.push(own);
        plains.push(least);
        ratios.push(own / least);
    }

    let file = work.join("bench.json");
    let key = work.join("bench.pem");
    std::fs::write(&file, &*sealed)?;
    let _ = std::fs::remove_file(&key);
    keys[0].danger_write_new_unencrypted(&key)?;
    let own_process = milliseconds(|| {
        run(Command::new(std::env::current_exe()?)
            .arg(OPEN_MODE)
            .args([&file, &key]))
    })?;
    std::fs::remove_file(&key)?;
    let began = Instant::now();
    let output = Command::new("node")
        .arg(project("benches/peers/open_with_dotenvx.mjs"))
        .args([&modules, &work])
        .arg(PEER_ROUNDS.to_string())
        .output()?;
    let peer_rounds_process = began.elapsed().as_secs_f64() * 1000.0;
    if !output.status.success() {
        return Err(format!("dotenvx: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    if answer["values"] != VALUES {
        return Err(format!("dotenvx opened {} values", answer["values"]).into());
    }
    let times = answer["times"].as_array().ok_or("dotenvx gives times")?;
    let times: Vec<f64> = times.iter().filter_map(Value::as_f64).collect();
    let dotenvx = median(times.iter().copied());
    // It has started once for all of its rounds.
    let peer_process = peer_rounds_process - times.iter().sum::<f64>() + dotenvx;

    let [open_ms, seal_ms, plain_ms] =
        [opens, seals, plains].map(|times| median(times.into_iter()));
    println!(
        "{VALUES} values, 3 recipients, RSA {DEFAULT_BITS}; medians of {ROUNDS} rounds, of dotenvx {PEER_ROUNDS}"
    );
    println!("{:<44}{:>12}{:>16}", "", "in process", "whole process");
    println!("{:<44}{open_ms:>9.2} ms{own_process:>13.2} ms", "open");
    println!(
        "{:<44}{plain_ms:>9.2} ms",
        "one RSA operation, 1,000 AES-GCM decryptions"
    );
    println!("{:<44}{dotenvx:>9.2} ms{peer_process:>13.2} ms", "dotenvx");
    println!("{:<44}{seal_ms:>9.2} ms", "seal");
    let figures = serde_json::json!({
        "vs_plain": rounded(median(ratios.into_iter())),
        "faster_than_dotenvx": rounded(dotenvx / open_ms),
        "open_ms": rounded(open_ms),
        "seal_ms": rounded(seal_ms),
    });
    println!("{figures}");
    Ok(())
}

fn value(number: usize) -> String {
    format!("value {number} {}", "x".repeat(24))
}

fn milliseconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

/// What cannot be saved: the epoch's encrypted key, and the parts of each token.
struct Plain {
    encrypted_key: Vec<u8>,
    key: Vec<u8>,
    /// Header, nonce, and ciphertext with its tag.
    tokens: Vec<(String, [u8; 12], Vec<u8>)>,
}

impl Plain {
    fn of(sealed: &str, key: &PrivateKey) -> Result<Self> {
        let document: Value = serde_json::from_str(sealed)?;
        let epochs = document["x-sealed"]["epochs"]
            .as_object()
            .ok_or("there are epochs")?;
        let epoch = epochs.values().next().ok_or("there is an epoch")?;
        let name = key.public_key().thumbprint().as_str();
        let entries = epoch["recipients"]
            .as_array()
            .ok_or("there are recipients")?;
        let entry = entries
            .iter()
            .find(|entry| entry["header"]["kid"] == name)
            .ok_or("we are one")?;
        let decode = |value: &Value| {
            Ok::<_, bench::Error>(
                BASE64URL_NOPAD.decode(value.as_str().unwrap_or_default().as_bytes())?,
            )
        };
        let members = document["env"].as_object().ok_or("there are values")?;
        let token = |value: &Value| {
            let token = value
                .as_str()
                .and_then(|text| text.strip_prefix("SEALED[")?.strip_suffix(']'));
            let parts: Vec<&str> = token.ok_or("it is sealed")?.split('.').collect();
            let [header, _, nonce, text, tag] = parts[..] else {
                return Err("a token has five parts".into());
            };
            let nonce = BASE64URL_NOPAD
                .decode(nonce.as_bytes())?
                .try_into()
                .map_err(|_| "96 bits")?;
            let mut text = BASE64URL_NOPAD.decode(text.as_bytes())?;
            text.extend(BASE64URL_NOPAD.decode(tag.as_bytes())?);
            Ok::<_, bench::Error>((header.to_owned(), nonce, text))
        };
        let encrypted_key = decode(&entry["encrypted_key"])?;
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let content_key = runtime
            .block_on(key.unwrap(&encrypted_key))?
            .ok_or("it unwraps")?;
        let mut wrapped = decode(&epoch["ciphertext"])?;
        wrapped.extend(decode(&epoch["tag"])?);
        let header = epoch["protected"].as_str().ok_or("there is a header")?;
        let nonce: [u8; 12] = decode(&epoch["iv"])?.try_into().map_err(|_| "96 bits")?;
        let jwk = decrypt(
            &cipher(content_key.expose_secret())?,
            header,
            nonce,
            &wrapped,
        )?;
        let jwk: Value = serde_json::from_slice(&jwk)?;
        Ok(Self {
            encrypted_key,
            key: decode(&jwk["k"])?,
            tokens: members.values().map(token).collect::<Result<_>>()?,
        })
    }

    async fn work(&self, key: &PrivateKey) -> Result<()> {
        let unwrapped = key.unwrap(&self.encrypted_key).await?;
        std::hint::black_box(unwrapped.ok_or("it unwraps")?);
        let cipher = cipher(&self.key)?;
        for (header, nonce, text) in &self.tokens {
            std::hint::black_box(decrypt(&cipher, header, *nonce, text)?);
        }
        Ok(())
    }
}

fn cipher(key: &[u8]) -> Result<Aes256Gcm> {
    let key: [u8; 32] = key.try_into()?;
    Ok(Aes256Gcm::new(&Key::<Aes256Gcm>::from(key)))
}

fn decrypt(cipher: &Aes256Gcm, header: &str, nonce: [u8; 12], text: &[u8]) -> Result<Vec<u8>> {
    let payload = aes_gcm::aead::Payload {
        msg: text,
        aad: header.as_bytes(),
    };
    cipher
        .decrypt(&Nonce::from(nonce), payload)
        .map_err(|_| "it decrypts".into())
}

fn open_once(file: &Path, key: &Path) -> Result<()> {
    let key = PrivateKey::read(key, None)?;
    let text = std::fs::read_to_string(file)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let opened = runtime.block_on(open(&text, Format::Json, &"/bench".parse()?, &[&key]))?;
    assert_eq!(opened.values().count(), VALUES);
    Ok(())
}

/// The folder with dotenvx, and one with a file that it has encrypted; both made when they are missing.
fn peer() -> Result<(PathBuf, PathBuf)> {
    let modules = target_folder()?.join("benches/node");
    let work = target_folder()?.join("benches/open");
    let wanted = std::fs::read(project("benches/peers/package-lock.json"))?;
    let made_from = modules.join("made-from");
    if std::fs::read(&made_from).is_ok_and(|made| made == wanted) {
        return Ok((modules, work));
    }
    println!("installing dotenvx in {}", modules.display());
    for folder in [&modules, &work] {
        let _ = std::fs::remove_dir_all(folder);
        std::fs::create_dir_all(folder)?;
    }
    for name in ["package.json", "package-lock.json"] {
        std::fs::copy(project("benches/peers").join(name), modules.join(name))?;
    }
    run(Command::new("npm")
        .args(["ci", "--silent", "--prefix"])
        .arg(&modules))?;
    let lines: Vec<String> = (0..VALUES)
        .map(|number| format!("SECRET_{number}=\"{}\"\n", value(number)))
        .collect();
    std::fs::write(work.join(".env"), lines.concat())?;
    println!("encrypting {VALUES} values with dotenvx");
    run(Command::new(modules.join("node_modules/.bin/dotenvx"))
        .args(["encrypt", "--quiet"])
        .current_dir(&work))?;
    std::fs::write(made_from, wanted)?;
    Ok((modules, work))
}
