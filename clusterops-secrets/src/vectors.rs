//! The test vectors of FORMAT.md.

use secrecy::ExposeSecret as _;

use crate::document::Format;
use crate::{
    DocumentId, PrivateKey, Recipients, SealOptions, SigningKey, open, random, seal, seal_paths,
    sign,
};

const FORMAT: &str = include_str!("../FORMAT.md");
const END_OF_TEXT: &str = "BLESS=1 writes them -->\n";

const BEN: &str = include_str!("keys/data/ben.pem");
const CYD: &str = include_str!("keys/data/cyd.pem");
const SIGNER: &str = include_str!("keys/data/sig.pem");

/// Each format, a source, and what is opened in the end.
const SOURCES: [(Format, &str, &str); 3] = [
    (
        Format::Json,
        "{\n  \"id\": \"/shop/web\",\n  \"env\": {\"DB\": \"ENC[db:hunter:2]\", \"EMPTY\": \"ENC[e:]\", \"PORT\": 8080},\n  \
         \"containers\": [{\"name\": \"a/b\", \"key\": \"ENC[k:ä\\n\\\"]\"}]\n}\n",
        "{\n  \"id\": \"/shop/web\",\n  \"env\": {\"DB\": \"hunter:2\", \"EMPTY\": \"\", \"PORT\": 8080},\n  \
         \"containers\": [{\"name\": \"a/b\", \"key\": \"ä\\n\\\"\"}]\n}\n",
    ),
    (
        Format::Yaml,
        "id: /shop/web\nenv:\n  DB: ENC[db:hunter:2] # the database\n",
        "id: /shop/web\nenv:\n  DB: hunter:2 # the database\n",
    ),
    (
        Format::Dotenv,
        "# shop\nDB='ENC[db:hunter:2]'\n",
        "# shop\nDB='hunter:2'\n",
    ),
];

fn id() -> DocumentId {
    "/shop/web".parse().expect("an id")
}

fn key(pem: &str) -> PrivateKey {
    PrivateKey::from_pem(pem, None).expect("a committed key")
}

/// What the crate writes when its randomness is that of the vectors.
fn written() -> String {
    random::tests::count_from_zero();
    let (ben, cyd) = (key(BEN), key(CYD));
    let recipients =
        [("ben", &ben), ("cyd", &cyd)].map(|(name, key)| (name, key.public_key().clone()));
    let options = SealOptions::new(Recipients::new(recipients).expect("recipients")).document(id());
    let signer = SigningKey::from_pem(SIGNER, None).expect("a committed key");
    let mut text = format!(
        "\nThe recipients are `ben.pem` ({}) and `cyd.pem` ({}); the signer is `sig.pem` ({}).\n",
        ben.public_key().thumbprint(),
        cyd.public_key().thumbprint(),
        signer.verifying_key().thumbprint()
    );
    for (format, source, opened) in SOURCES {
        let mut sealed = seal(source, format, &options).expect("it seals").text;
        if format == Format::Json {
            let paths = ["/env/PORT".parse().expect("a path")];
            sealed = seal_paths(&sealed, format, &paths, &options)
                .expect("it seals")
                .text;
        }
        let signature = sign(sealed.as_bytes(), &id(), &signer).expect("it signs");
        let marked = match format {
            Format::Json => ", with `/env/PORT` sealed by its path in a second call",
            _ => "",
        };
        text.push_str(&format!(
            "\n### {format}\n\nThe source{marked}:\n\n```{format}\n{source}```\n\nSealed as `/shop/web`:\n\n```{format}\n{}```\n\n\
             Signed:\n\n```text\n{signature}\n```\n\nOpened:\n\n```{format}\n{opened}```\n",
            &*sealed
        ));
    }
    text
}

/// The fenced blocks of the vectors.
fn blocks() -> Vec<&'static str> {
    let (_, vectors) = FORMAT
        .split_once(END_OF_TEXT)
        .expect("the comment is there");
    let fenced = vectors.split("```").skip(1).step_by(2);
    fenced
        .map(|block| block.split_once('\n').expect("a line").1)
        .collect()
}

#[test]
fn they_are_what_this_crate_writes() {
    let (text, vectors) = FORMAT
        .split_once(END_OF_TEXT)
        .expect("the comment is there");
    let written = written();
    if std::env::var_os("BLESS").is_some() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/FORMAT.md");
        std::fs::write(file, [text, END_OF_TEXT, &written].concat()).expect("it is ours");
        return;
    }
    assert!(
        vectors == written,
        "the vectors are others; written now:\n{written}"
    );
}

#[tokio::test]
async fn they_open_for_each_recipient() {
    let signer = SigningKey::from_pem(SIGNER, None).expect("a committed key");
    let blocks = blocks();
    assert_eq!(blocks.len(), 12);
    for ((format, source, text), block) in SOURCES.into_iter().zip(blocks.chunks(4)) {
        let [given, sealed, signature, _] = block else {
            panic!("four blocks")
        };
        assert_eq!(*given, source);
        let trusted = [signer.verifying_key().clone()];
        let verified = crate::verify(sealed.as_bytes(), &id(), &trusted, signature);
        assert_eq!(verified.expect("it fits"), *trusted[0].thumbprint());
        for pem in [BEN, CYD] {
            let opened = open(sealed, format, &id(), &[&key(pem)])
                .await
                .expect("it opens");
            let (_, value) = opened.values().next().expect("a value");
            assert_eq!(value.expose_secret(), "hunter:2");
            assert_eq!(opened.text().expose_secret(), text);
        }
    }
}
