//! What hostile inputs cost: memory in proportion to their length, whatever they say.

mod support;

use std::fmt::Write as _;

use clusterops_secrets::{
    CheckOptions, Format, PrivateKey, SealedFile, Value, check, extract, merge, open, seal,
    seal_paths, set, show, verify,
};
use peak_alloc::PeakAlloc;
use pkcs8::der::Encode as _;
use pkcs8::der::asn1::OctetStringRef;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{self, Kdf};
use pkcs8::{EncryptedPrivateKeyInfoRef, LineEnding, SecretDocument};
use support::{folder, id, options, private_key};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// The most bytes for each byte of the input, and besides.
const PER_BYTE: usize = 320;
const BESIDES: usize = 2 << 20;

/// How much more was allocated at once while something was done.
fn peak<T>(work: impl FnOnce() -> T) -> usize {
    ALLOCATED.reset_peak_usage();
    let before = ALLOCATED.current_usage();
    let done = work();
    let peak = ALLOCATED.peak_usage();
    drop(done);
    peak - before
}

/// How long they are, about.
const LENGTH: usize = 128 << 10;

fn repeated(text: &str) -> String {
    text.repeat(LENGTH / text.len())
}

fn numbered(line: impl Fn(usize) -> String, count: usize) -> String {
    (0..count).map(line).collect()
}

fn inputs() -> Vec<(&'static str, Format, String)> {
    use Format::{Dotenv, Json, Yaml};

    let in_array = |text: &str| format!("{{\"id\": \"/shop\", \"a\": [{}0]}}", repeated(text));
    let laughs = {
        let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
        for level in 1..60 {
            let below = format!("*a{}", level - 1);
            let _ = writeln!(
                text,
                "a{level}: &a{level} [{}]",
                [below.as_str(); 10].join(", ")
            );
        }
        text
    };
    let sealed = |format: Format, source: &str| {
        let options = options(&["ben"]).document(id("/shop"));
        seal(source, format, &options)
            .expect("it seals")
            .text
            .to_string()
    };
    let epoch = {
        let text = sealed(Dotenv, "A='ENC[a:b]'\n");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("# x-sealed epoch "));
        line.expect("an epoch")
            .split_once(' ')
            .expect("its JSON")
            .1
            .to_owned()
    };
    let epochs = numbered(
        |number| format!("# x-sealed epoch {number:0>42}A {epoch}\n"),
        1500,
    );
    let entry = &epoch[epoch.find("[{").expect("a list") + 1..=epoch.find("}]").expect("its end")];
    let entries = vec![entry; 1100].join(",");
    let value = repeated("x");
    vec![
        ("brackets", Json, repeated("[")),
        ("objects in objects", Json, repeated("{\"a\":")),
        ("arrays", Json, in_array("[],")),
        ("numbers", Json, in_array("1,")),
        ("strings", Json, in_array("\"\",")),
        ("escapes", Json, in_array("\"\\u0041\",")),
        ("elements with one name", Json, in_array("{\"name\":\"\"},")),
        (
            "names",
            Json,
            format!(
                "{{{}\"b\":0}}",
                numbered(|number| format!("\"{number}\":0,"), 100_000)
            ),
        ),
        ("markers", Json, in_array("\"ENC[a:b]\",")),
        (
            "a long value",
            Json,
            format!("{{\"id\": \"/shop\", \"a\": \"ENC[a:{value}]\"}}"),
        ),
        (
            "a long token",
            Json,
            format!("{{\"a\": \"SEALED[{value}.....]\"}}"),
        ),
        (
            "a long sealed value",
            Json,
            sealed(
                Json,
                &format!("{{\"id\": \"/shop\", \"a\": \"ENC[a:{value}]\"}}"),
            ),
        ),
        ("aliases of aliases", Yaml, laughs),
        (
            "anchors",
            Yaml,
            numbered(|number| format!("a{number}: &a{number} 1\n"), 7_500),
        ),
        (
            "aliases",
            Yaml,
            format!("a: &a [1]\nb: [{}*a ]\n", repeated("*a ,")),
        ),
        ("lists in lists", Yaml, repeated("- ")),
        ("brackets", Yaml, repeated("[")),
        ("braces", Yaml, repeated("{")),
        ("questions", Yaml, repeated("? ")),
        ("empty elements", Yaml, format!("a:\n{}", repeated("- \n"))),
        ("an endless key", Yaml, repeated("a")),
        ("an endless quote", Yaml, format!("a: \"{value}")),
        ("tags", Yaml, format!("a:\n{}", repeated("- !!str a\n"))),
        ("a block", Yaml, format!("a: |\n{}", repeated("  x\n"))),
        (
            "epochs",
            Dotenv,
            format!("# x-sealed version=1 document=/shop\n{epochs}"),
        ),
        (
            "recipients",
            Dotenv,
            format!(
                "# x-sealed version=1 document=/shop\n# x-sealed epoch {:0>43} {}\n",
                "A",
                epoch.replace(entry, &entries)
            ),
        ),
        (
            "variables",
            Dotenv,
            numbered(|number| format!("{number}=\n"), 16_000),
        ),
        ("comments", Dotenv, repeated("#\n")),
        ("backslashes", Dotenv, format!("A=\"{}\"", repeated("\\n"))),
    ]
}

/// One test: a second one would allocate at the same time.
#[test]
fn what_is_hostile_takes_memory_in_proportion() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let (ben, shop) = (private_key("ben"), id("/shop"));
    let options = options(&["ben"]).document(shop.clone());
    let folder = folder();
    let mut worst = (0.0, String::new());
    let mut measured = 0;
    let mut keeps = |what: &str, length: usize, used: usize| {
        let limit = PER_BYTE * length + BESIDES;
        assert!(used <= limit, "{what}: {used} bytes for {length}");
        let ratio = used as f64 / length as f64;
        if ratio > worst.0 {
            worst = (ratio, what.to_owned());
        }
        measured += 1;
    };
    for (name, format, text) in inputs() {
        let path = "/a".parse().expect("a path");
        let file = folder.path().join(format!(
            "app.{}",
            match format {
                Format::Dotenv => "env",
                format => format.name(),
            }
        ));
        std::fs::write(&file, &text).expect("ours");
        let mut used =
            |how: &str, used: usize| keeps(&format!("{how} {name} ({format})"), text.len(), used);
        used("seal", peak(|| seal(&text, format, &options)));
        used(
            "seal_paths",
            peak(|| seal_paths(&text, format, &[path], &options)),
        );
        let path = "/new".parse().expect("a path");
        used(
            "set",
            peak(|| set(&text, format, &path, &Value::text("x"), &options)),
        );
        used(
            "open",
            peak(|| runtime.block_on(open(&text, format, &shop, &[&ben]))),
        );
        used(
            "extract",
            peak(|| runtime.block_on(extract(&text, format, &shop, &path, &[&ben]))),
        );
        used("show", peak(|| show(&text, format, None)));
        used("merge", peak(|| merge(&text, &text, &text, format)));
        used("check", peak(|| check(&file, &CheckOptions::default())));
        used(
            "read",
            peak(|| SealedFile::read(&file).and_then(|file| file.id())),
        );
        used(
            "verify",
            peak(|| verify(text.as_bytes(), &shop, &[], &text)),
        );
    }
    let costly = costly_key();
    keeps(
        "a costly passphrase",
        costly.len(),
        peak(|| {
            let error =
                PrivateKey::from_pem(&costly, Some(&"a".into())).expect_err("a gigabyte and more");
            assert!(error.to_string().contains("the limit"), "{error}");
        }),
    );
    println!(
        "{measured} measured; most: {:.0} bytes for each, {}",
        worst.0, worst.1
    );
}

/// A key whose file says that a passphrase is made into a key with scrypt and N = 2^30: a tebibyte.
fn costly_key() -> String {
    let kdf = Kdf::Scrypt(pbes2::ScryptParams {
        salt: pbes2::Salt::new([7; 16]).expect("a salt"),
        cost_parameter: 1 << 30,
        block_size: 8,
        parallelization: 1,
        key_length: None,
    });
    let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] };
    let info = EncryptedPrivateKeyInfoRef {
        encryption_algorithm: EncryptionScheme::Pbes2(pbes2::Parameters { kdf, encryption }),
        encrypted_data: OctetStringRef::new(&[0; 64]).expect("bytes"),
    };
    let document = SecretDocument::try_from(info.to_der().expect("it is encoded")).expect("DER");
    let pem = document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF);
    pem.expect("a PEM").to_string()
}
