//! Which document a file is: what it shows, what the caller expects, and how it becomes another one.

use std::fs;

use super::{folder, printed, run, said, text};

#[test]
fn a_copied_file_opens_only_as_what_it_was() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("stage.env"), "A='ENC[a:s3cr3t]'\n").expect("ours");
    let said_so = said("seal", folder.path(), "seal stage.env", 1);
    assert!(
        said_so.contains("say which app and environment it is for"),
        "{said_so}"
    );
    printed("seal", folder.path(), "seal stage.env --id stage", "");
    // Whoever holds public keys only need not know.
    printed("seal", folder.path(), "set stage.env /B", "more");
    printed(
        "seal",
        folder.path(),
        "generate ops.pem --signing --plain",
        "",
    );
    printed(
        "seal",
        folder.path(),
        "sign stage.env --id stage --key ops.pem",
        "",
    );
    fs::copy(path("stage.env"), path("prod.env")).expect("ours");
    fs::copy(path("stage.env.sig"), path("prod.env.sig")).expect("ours");

    for line in [
        "open prod.env --key ben.pem",
        "extract prod.env /A --key ben.pem",
        "exec prod.env --key ben.pem -- env",
        "rotate prod.env --key ben.pem",
        "compact prod.env --key ben.pem",
        "reseal prod.env --key ben.pem",
        "sign prod.env --key ops.pem",
        "verify prod.env --signer ops.pem.pub",
    ] {
        let output = run("seal", folder.path(), line, "");
        assert_eq!(
            (output.status.code(), text(&output.stdout).as_str()),
            (Some(1), ""),
            "{line}"
        );
        let why = text(&output.stderr);
        assert!(
            why.contains("prod.env: ")
                && why.contains("it is sealed as `stage`; if that is")
                && why.contains("with --id"),
            "{line}: {why}"
        );
        let as_prod = line.replace("prod.env", "prod.env --id prod");
        if !line.starts_with("sign ") {
            let why = said("seal", folder.path(), &as_prod, 1);
            assert!(
                why.contains("not as `prod`") || why.contains("does not fit this file as `prod`"),
                "{as_prod}: {why}"
            );
        }
    }
    let mantle = said("mantle", folder.path(), "decode prod.env --key ben.pem", 1);
    assert!(mantle.contains("with --id"), "{mantle}");
    let opened = printed(
        "seal",
        folder.path(),
        "open stage.env --id stage --key ben.pem",
        "",
    );
    assert!(
        opened.contains("A='s3cr3t'") && opened.contains("B=more"),
        "{opened}"
    );
    printed(
        "seal",
        folder.path(),
        "verify stage.env --id stage --signer ops.pem.pub",
        "",
    );
}

#[test]
fn a_document_gets_another_id_on_purpose_only() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("a.env"), "A='ENC[a:s3cr3t]'\n").expect("ours");
    printed("seal", folder.path(), "seal a.env --id stage", "");
    let shown = printed(
        "seal",
        folder.path(),
        "reseal a.env --id stage --new-id prod --key ben.pem",
        "",
    );
    assert!(
        shown.contains("the document was `stage`, and is `prod` now\n"),
        "{shown}"
    );
    assert!(
        said(
            "seal",
            folder.path(),
            "open a.env --id stage --key ben.pem",
            1
        )
        .contains("sealed as `prod`")
    );
    assert_eq!(
        printed(
            "seal",
            folder.path(),
            "open a.env --id prod --key ben.pem",
            ""
        ),
        "A='s3cr3t'\n"
    );

    // An app shows its id, before and after.
    fs::write(
        path("app.json"),
        "{\"id\": \"/shop\", \"a\": \"ENC[a:b]\"}\n",
    )
    .expect("ours");
    printed("seal", folder.path(), "seal app.json", "");
    let shown = printed(
        "seal",
        folder.path(),
        "reseal app.json --new-id /store --key ben.pem",
        "",
    );
    assert!(
        shown.contains("was `/shop`, and is `/store` now"),
        "{shown}"
    );
    assert_eq!(
        printed("seal", folder.path(), "open app.json --key ben.pem", ""),
        "{\"id\": \"/store\", \"a\": \"b\"}\n"
    );
    // Somebody has changed what it shows.
    let sealed = fs::read_to_string(path("app.json")).expect("ours");
    fs::write(path("app.json"), sealed.replacen("/store", "/mall", 1)).expect("ours");
    let why = said("seal", folder.path(), "reseal app.json --key ben.pem", 1);
    assert!(why.contains("sealed as `/store`, not as `/mall`"), "{why}");
    printed(
        "seal",
        folder.path(),
        "reseal app.json --id /store --new-id /mall --key ben.pem",
        "",
    );
    assert_eq!(
        printed(
            "seal",
            folder.path(),
            "extract app.json /a --key ben.pem",
            ""
        ),
        "b\n"
    );
}
