//! Files that are made and replaced beside sealed ones: signatures and keys; and who may not.

mod support;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use clusterops_secrets::{ErrorKind, SealedFile, SigningKey, sign_file, verify_file};
use support::{folder, id, names, private_key, sealed_file, write};

fn mode(path: &Path) -> u32 {
    path.metadata().expect("it is there").mode() & 0o7777
}

#[test]
fn nobody_signs_what_is_not_ready() {
    let (folder, file) = sealed_file();
    for (text, kind) in [
        (r#"{"id": "/shop""#, ErrorKind::Syntax),
        (r#"{"id": "/shop", "a": "ENC[a:b]"}"#, ErrorKind::Unresolved),
    ] {
        write(file.path(), text);
        let file = SealedFile::read(file.path()).expect("text");
        let error = sign_file(&file, &id("/shop"), &SigningKey::generate()).expect_err(text);
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert_eq!(names(folder.path()), ["app.json"]);
}

#[test]
fn a_signature_file_keeps_its_mode_and_owner() {
    let (folder, file) = sealed_file();
    let path = sign_file(&file, &id("/shop"), &SigningKey::generate()).expect("signed");
    assert_eq!(mode(&path), 0o644);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("ours");
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        chown(&path, Some(12345), Some(54321)).expect("root may");
    }
    sign_file(&file, &id("/shop"), &SigningKey::generate()).expect("signed");
    let text = std::fs::read_to_string(&path).expect("ours");
    assert_eq!(text.lines().count(), 2);
    assert_eq!(mode(&path), 0o640);
    if is_root {
        let metadata = path.metadata().expect("ours");
        assert_eq!((metadata.uid(), metadata.gid()), (12345, 54321));
    }
    assert_eq!(names(folder.path()), ["app.json", "app.json.sig"]);
}

#[test]
fn a_signature_stands_beside_the_file_that_a_link_leads_to() {
    let (folder, file) = sealed_file();
    let key = SigningKey::generate();
    let trusted = [key.verifying_key().clone()];
    let link = folder.path().join("links/current.json");
    std::fs::create_dir(folder.path().join("links")).expect("ours");
    symlink("../app.json", &link).expect("ours");
    let linked = SealedFile::read(&link).expect("it reads");
    let path = sign_file(&linked, &id("/shop"), &key).expect("signed");
    assert!(path.ends_with("app.json.sig"), "{}", path.display());
    assert_eq!(names(&folder.path().join("links")), ["current.json"]);
    for file in [&linked, &file] {
        assert!(verify_file(file, &id("/shop"), &trusted).is_ok());
    }
    // A link in the place of the signatures is followed, and stays.
    std::fs::rename(&path, folder.path().join("signatures")).expect("ours");
    symlink("signatures", &path).expect("ours");
    sign_file(&file, &id("/shop"), &SigningKey::generate()).expect("signed");
    assert!(path.is_symlink());
    let text = std::fs::read_to_string(folder.path().join("signatures")).expect("ours");
    assert_eq!(text.lines().count(), 2);
    // One that leads nowhere is nothing to be replaced.
    std::fs::remove_file(folder.path().join("signatures")).expect("ours");
    let error = sign_file(&file, &id("/shop"), &key).expect_err("it leads nowhere");
    assert_eq!(error.kind(), ErrorKind::Local);
    assert!(path.is_symlink());
}

/// The child of the next test, as another user.
#[test]
#[ignore = "run by a_file_of_somebody_else_is_left_to_them"]
fn replaces_what_it_does_not_own() {
    let path = std::env::var_os("SEALED_FILE").expect("the parent names it");
    let file = SealedFile::read(path).expect("it reads");
    println!("{}", file.replace("{\"a\": 1}").expect_err("not ours"));
}

#[test]
fn a_file_of_somebody_else_is_left_to_them() {
    let folder = folder();
    let path = folder.path().join("app.json");
    write(&path, "{}");
    let program = folder.path().join("test");
    std::fs::copy(std::env::current_exe().expect("ourselves"), &program).expect("ours");
    for (path, mode) in [(folder.path(), 0o777), (&*program, 0o755), (&*path, 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
    }
    if chown(&path, Some(12345), Some(54321)).is_err() {
        eprintln!("skipped: a_file_of_somebody_else_is_left_to_them needs root");
        return;
    }
    let child = Command::new(&program)
        .args(["--exact", "replaces_what_it_does_not_own", "--ignored"])
        .arg("--nocapture")
        .env("SEALED_FILE", &path)
        .uid(23456)
        .gid(23456)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    assert!(
        said.contains("app.json: the file belongs to user 12345 and group 54321")
            && said.contains("it is as it was: do this as its owner or as root"),
        "{said}"
    );
    let metadata = path.metadata().expect("it is there");
    assert_eq!((metadata.uid(), metadata.gid()), (12345, 54321));
    assert_eq!(std::fs::read_to_string(&path).expect("ours"), "{}");
    assert_eq!(names(folder.path()), ["app.json", "test"]);
}

#[test]
fn neither_half_of_a_key_is_overwritten() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let (recipient, signer) = (private_key("ben"), SigningKey::generate());
    let write_each = || {
        [
            ("a", recipient.danger_write_new_unencrypted(path("a"))),
            ("b", recipient.public_key().write_new(path("b"))),
            ("c", signer.danger_write_new_unencrypted(path("c"))),
            ("d", signer.verifying_key().write_new(path("d"))),
        ]
    };
    for (name, written) in write_each() {
        written.expect(name);
    }
    assert_eq!(
        ["a", "b", "c", "d"].map(|name| mode(&path(name))),
        [0o600, 0o644, 0o600, 0o644]
    );
    assert_eq!(
        std::fs::read_to_string(path("b")).expect("ours"),
        recipient.public_key().to_pem()
    );
    for (name, written) in write_each() {
        let error = written.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Local);
        assert!(error.to_string().contains("never overwritten"), "{error}");
    }
    assert_eq!(names(folder.path()), ["a", "b", "c", "d"]);
    symlink("nowhere", path("e")).expect("ours");
    for name in ["e", "none/f", "..", "g/"] {
        assert!(
            signer.verifying_key().write_new(path(name)).is_err(),
            "{name}"
        );
    }
    assert_eq!(names(folder.path()), ["a", "b", "c", "d", "e"]);
}
