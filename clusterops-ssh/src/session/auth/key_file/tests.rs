use std::process::Command;

use super::*;

const PASSPHRASE: &str = "hunter22";

/// What a program that is not there leaves undone is passed over.
fn made(folder: &Path, name: &str, program: &str, words: &[&str]) -> Option<PathBuf> {
    let path = folder.join(name);
    let words = words.iter().map(|word| match *word {
        "FILE" => path.to_str().unwrap(),
        word => word,
    });
    let output = Command::new(program).args(words).output();
    match output {
        Ok(output) if output.status.success() => Some(path),
        Ok(output) => panic!("{program}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => {
            eprintln!("skipped: no {program} for {name}");
            None
        }
    }
}

async fn opened(path: &Path, passphrase: &str) -> Result<(), String> {
    let file = KeyFile::load(path)?;
    let sealed = match &*file.private.lock().await {
        Private::Sealed(text) => text.clone(),
        Private::Missing(why) => return Err(why.clone()),
        Private::Open(_) => return Err("it is not encrypted".into()),
    };
    match unseal(path, sealed, passphrase.to_owned().into()).await {
        Ok(_) => Ok(()),
        Err(Sealed::WrongPassphrase) => Err("wrong".into()),
        Err(Sealed::Unusable(why)) => Err(why),
    }
}

#[tokio::test]
async fn whatever_encrypts_a_key_opens_it_or_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let keygen = ["-q", "-N", PASSPHRASE, "-f", "FILE", "-t"];
    let output = "pass:hunter22";
    let known: &[(&str, &[&str])] = &[
        ("ed25519", &["-Z", "aes256-ctr"]),
        ("ed25519", &["-Z", "aes128-cbc"]),
        ("ed25519", &["-Z", "aes256-gcm@openssh.com"]),
        ("ed25519", &["-Z", "chacha20-poly1305@openssh.com"]),
        ("rsa", &["-m", "PEM"]),
        ("rsa", &["-m", "PKCS8"]),
        ("ecdsa", &["-m", "PKCS8"]),
    ];
    for (index, (kind, more)) in known.iter().enumerate() {
        let words = [&keygen[..], &[kind], more].concat();
        let Some(path) = made(
            folder.path(),
            &format!("known{index}"),
            "ssh-keygen",
            &words,
        ) else {
            return;
        };
        assert_eq!(opened(&path, PASSPHRASE).await, Ok(()), "{kind} {more:?}");
        let wrong = opened(&path, "another").await;
        assert_eq!(wrong, Err("wrong".into()), "{kind} {more:?}");
    }
    let unknown: &[(&str, &str, &[&str])] = &[
        ("3des-cbc", "ssh-keygen", &["ed25519", "-Z", "3des-cbc"]),
        (
            "AES-128-CBC of a PEM EC",
            "ssh-keygen",
            &["ecdsa", "-m", "PEM"],
        ),
        (
            "AES-256-CBC of a PEM RSA",
            "openssl",
            &[
                "genrsa",
                "-traditional",
                "-aes256",
                "-passout",
                output,
                "-out",
                "FILE",
                "2048",
            ],
        ),
        (
            "1.2.840.113549.3.7",
            "openssl",
            &[
                "genpkey",
                "-algorithm",
                "ed25519",
                "-des3",
                "-pass",
                output,
                "-out",
                "FILE",
            ],
        ),
    ];
    for (index, (says, program, words)) in unknown.iter().enumerate() {
        let words = match *program {
            "ssh-keygen" => [&keygen[..], words].concat(),
            _ => words.to_vec(),
        };
        let Some(path) = made(folder.path(), &format!("unknown{index}"), program, &words) else {
            continue;
        };
        lock(&path);
        let why = opened(&path, PASSPHRASE).await.unwrap_err();
        assert!(why.contains(says), "{why}");
        // What is advised writes a file that opens.
        let programs = ["ssh-keygen -p", "openssl pkey"];
        let start = programs.iter().find_map(|program| why.find(program));
        let advice = why[start.unwrap()..].split(',').next().unwrap();
        let (words, file) = if advice.starts_with("ssh-keygen") {
            (format!("{advice} -P {PASSPHRASE} -N {PASSPHRASE}"), path)
        } else {
            let new = path.with_file_name(format!("unknown{index}.new"));
            (format!("{advice} -passin {output} -passout {output}"), new)
        };
        let mut words = words.split(' ');
        let done = Command::new(words.next().unwrap()).args(words).output();
        assert!(done.unwrap().status.success(), "{advice}");
        assert_eq!(opened(&file, PASSPHRASE).await, Ok(()), "{advice}");
    }
}

fn lock(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// What stands around a key, as openssl-pkcs12(1) and openssl-ecparam(1) write it.
const BEFORE: [&str; 3] = [
    "\u{feff}",
    "Bag Attributes\n    localKeyID: 01 02\nKey Attributes: <No Attributes>\n",
    "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
];

#[tokio::test]
async fn what_stands_around_a_key_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    for (index, (kind, format)) in [
        ("ed25519", "RFC4716"),
        ("ecdsa", "RFC4716"),
        ("ecdsa", "PEM"),
        ("ecdsa", "PKCS8"),
        ("rsa", "PEM"),
        ("rsa", "PKCS8"),
    ]
    .iter()
    .enumerate()
    {
        for passphrase in ["", PASSPHRASE] {
            if (*kind, *format, passphrase) == ("ecdsa", "PEM", PASSPHRASE) {
                // Not supported.
                continue;
            }
            let words = [
                "-q", "-N", passphrase, "-t", kind, "-m", format, "-f", "FILE",
            ];
            let name = format!("key{index}{passphrase}");
            let Some(path) = made(folder.path(), &name, "ssh-keygen", &words) else {
                return;
            };
            let public = fs::read_to_string(path.with_file_name(format!("{name}.pub"))).unwrap();
            let public = public_key(&public).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            for before in BEFORE {
                for text in [text.clone(), text.replace('\n', "\r\n")] {
                    fs::write(&path, format!("{before}{text}\nBag Attributes: none\n")).unwrap();
                    let file = KeyFile::load(&path)
                        .unwrap_or_else(|why| panic!("{kind} {format} {before:?}: {why}"));
                    let found = file.public().unwrap().key_data();
                    assert_eq!(found, public.key_data(), "{kind} {format} {before:?}");
                    if !passphrase.is_empty() {
                        let opened = opened(&path, passphrase).await;
                        assert_eq!(opened, Ok(()), "{kind} {format} {before:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_holds_no_key_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("id.ppk");
    let new = folder.path().join("id");
    let putty = format!(
        "puttygen {} -O private-openssh -o {}",
        path.display(),
        new.display()
    );
    let encrypted =
        "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: aes256-cbc\nComment: a\nPublic-Lines: 0\n";
    for (text, says) in [
        (encrypted.as_bytes(), &*putty),
        (
            b"-----BEGIN CERTIFICATE-----\nAA==\n",
            "holds no private key",
        ),
        (b"", "holds no private key"),
        (b"\x30\x82\x01\xff", "is not text"),
        (b"\xff\xfe-\0-\0", "is not text"),
    ] {
        fs::write(&path, text).unwrap();
        lock(&path);
        let why = KeyFile::load(&path).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
}

#[tokio::test]
async fn a_key_that_is_no_key_of_ssh_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let words = "genpkey -algorithm x25519 -aes256 -pass pass:hunter22 -out FILE";
    let words: Vec<_> = words.split(' ').collect();
    let Some(path) = made(folder.path(), "key", "openssl", &words) else {
        return;
    };
    lock(&path);
    let why = opened(&path, PASSPHRASE).await.unwrap_err();
    assert!(why.contains("no key that SSH knows"), "{why}");
    assert_eq!(opened(&path, "another").await, Err("wrong".into()));
}

#[tokio::test]
async fn half_a_key_may_be_the_agents() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["-q", "-N", "", "-t", "ed25519", "-f", "FILE"];
    let Some(path) = made(folder.path(), "key", "ssh-keygen", &words) else {
        return;
    };
    fs::remove_file(&path).unwrap();
    let file = KeyFile::load(&path).unwrap();
    assert!(file.public().is_some());
    assert!(
        matches!(&*file.private.lock().await, Private::Missing(why) if why.contains("only its public half"))
    );
    fs::remove_file(folder.path().join("key.pub")).unwrap();
    let why = KeyFile::load(&path).unwrap_err();
    assert!(why.contains("cannot be read"), "{why}");
}

#[test]
fn a_key_of_puttys_opens_or_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("id.ppk");
    // As puttygen(1) writes it.
    let plain = "\
PuTTY-User-Key-File-3: ssh-ed25519
Encryption: none
Comment: user@example.com
Public-Lines: 2
AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XF
Sqti
Private-Lines: 1
AAAAILYGwiLRDBba4WxwpNRRc0cuxhfgXGVpINJuVsCPtZHt
Private-MAC: 94140d0344fad6aa1bf7b71e9c93db11ccac8a232f8a51e11c024869d608c82d
";
    for text in [
        plain.to_owned(),
        plain.replace('\n', "\r\n"),
        format!("\u{feff}{plain}"),
    ] {
        fs::write(&path, &text).unwrap();
        lock(&path);
        let file = KeyFile::load(&path).unwrap_or_else(|why| panic!("{text:?}: {why}"));
        assert!(file.ready().is_some());
    }
    fs::write(&path, plain.replace("none", "aes256-cbc")).unwrap();
    let why = KeyFile::load(&path).unwrap_err();
    let new = folder.path().join("id");
    let advice = format!(
        "puttygen {} -O private-openssh -o {}",
        path.display(),
        new.display()
    );
    assert!(why.contains(&advice), "{why}");
    assert!(!why.contains("AAAAILYG"), "{why}");
}
