//! Logging in to a real sshd: keys, certificates, agents, passphrases, passwords and questions.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use clusterops::secrecy::SecretString;
use clusterops::ssh::{Error, ErrorKind};
use clusterops::{Credentials, Fleet, Plan, Purpose, SessionOptions, Stage, Target};

mod support;
use support::{Agent, Sshd, SshdOptions, configured, log_in, options, ssh_keygen};

/// Credentials that give these answers in turn, and remember what they were asked.
#[derive(Debug, Default)]
struct Answers {
    left: Mutex<Vec<&'static str>>,
    asked: Mutex<Vec<Purpose>>,
}

impl Answers {
    fn new(answers: &[&'static str]) -> Arc<Self> {
        let answers = answers.iter().rev().copied().collect();
        Arc::new(Self {
            left: Mutex::new(answers),
            asked: Mutex::default(),
        })
    }

    fn asked(&self) -> Vec<Purpose> {
        self.asked.lock().expect("nobody panics").clone()
    }
}

#[async_trait]
impl Credentials for Answers {
    async fn secret(&self, _: &Target, purpose: &Purpose) -> Result<Option<SecretString>, Error> {
        self.asked
            .lock()
            .expect("nobody panics")
            .push(purpose.clone());
        let answer = self.left.lock().expect("nobody panics").pop();
        Ok(answer.map(SecretString::from))
    }
}

/// Credentials that know the password and nothing else.
#[derive(Debug)]
struct ThePassword(String);

#[async_trait]
impl Credentials for ThePassword {
    async fn secret(&self, _: &Target, purpose: &Purpose) -> Result<Option<SecretString>, Error> {
        Ok((*purpose == Purpose::Password).then(|| self.0.as_str().into()))
    }
}

// --- Certificates ----------------------------------------------------------------------------------------------------

/// A server that takes what its authority certifies, and no key alone.
fn certified() -> SshdOptions {
    SshdOptions::default()
        .refuse_keys()
        .line("TrustedUserCAKeys {folder}/authority.pub")
}

#[tokio::test]
async fn a_certificate_beside_the_key_or_named_logs_in() {
    let Some(sshd) = Sshd::start(certified()) else {
        return;
    };
    let folder = sshd.folder();
    for kind in ["ed25519", "rsa", "ecdsa"] {
        ssh_keygen(folder, &["-N", "", "-t", kind, "-f", kind]);
        let public = format!("{kind}.pub");
        ssh_keygen(
            folder,
            &["-s", "authority", "-I", "me", "-n", sshd.user(), &public],
        );
        let target = Target {
            identity_file: Some(folder.join(kind)),
            ..sshd.target("web1", "127.0.0.1")
        };
        if let Err(error) = log_in(&target, &options()).await {
            panic!("{kind}: {error:?}\n{}", sshd.log());
        }
        let certificate = folder.join("elsewhere");
        fs::rename(folder.join(format!("{kind}-cert.pub")), &certificate).expect("our folder");
        log_in(&target, &options())
            .await
            .expect_err("the key alone is not taken");
        let named = options().certificate_file(&certificate);
        log_in(&target, &named)
            .await
            .expect("its certificate is named");
    }
}

#[tokio::test]
async fn a_certificate_that_is_refused_is_told_with_what_is_wrong() {
    let Some(sshd) = Sshd::start(certified()) else {
        return;
    };
    let (folder, user) = (sshd.folder(), sshd.user());
    ssh_keygen(folder, &["-N", "", "-t", "ed25519", "-f", "stranger"]);
    let target = sshd.target("web1", "127.0.0.1");
    for (arguments, told) in [
        (
            vec!["-s", "authority", "-n", user, "-V", "20200101:20200102"],
            "expired on 2020-01-0",
        ),
        (
            vec!["-s", "authority", "-n", "somebody"],
            "certificate \"the id\" (serial 0)",
        ),
        (
            vec!["-s", "stranger", "-n", user],
            "certificate \"the id\" (serial 0)",
        ),
    ] {
        let mut sign = vec!["-I", "the id"];
        sign.extend(arguments);
        sign.push("identity.pub");
        ssh_keygen(folder, &sign);
        let error = log_in(&target, &options()).await.expect_err(told);
        assert_eq!(error.kind(), ErrorKind::Authentication);
        let text = error.to_string();
        assert!(
            text.contains(told) && text.contains("would take: publickey"),
            "{text}"
        );
    }
    ssh_keygen(
        folder,
        &[
            "-s",
            "authority",
            "-h",
            "-I",
            "x",
            "-n",
            "web1",
            "identity.pub",
        ],
    );
    let certificate = folder.join("identity-cert.pub");
    let named = options().certificate_file(&certificate);
    let error = log_in(&target, &named).await.expect_err("it is a host's");
    assert!(
        error
            .to_string()
            .contains("which is no certificate for users"),
        "{error}"
    );
}

// --- Passphrases -----------------------------------------------------------------------------------------------------

fn encrypt(key: &Path, passphrase: &str) {
    let (folder, name) = (key.parent(), key.to_str());
    let (folder, name) = (folder.expect("a file"), name.expect("our own name"));
    ssh_keygen(folder, &["-p", "-N", passphrase, "-P", "", "-f", name]);
}

#[tokio::test]
async fn a_passphrase_is_asked_for_once_for_all_hosts() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    encrypt(&sshd.identity_file(), "open sesame");
    let answers = Answers::new(&["open barley", "open sesame"]);
    let targets =
        (1..=4).map(|host| sshd.target(&format!("web{host}"), &format!("127.0.0.{host}")));
    let fleet = Fleet::new(targets)
        .session(options())
        .credentials(answers.clone());
    let plan = Plan::new("look").stage(Stage::command("look", ["true"]));
    let report = fleet.run(&plan).expect("it starts").await.expect("it ends");
    assert!(report.is_success(), "{report:?}");
    let asked = Purpose::Passphrase(sshd.identity_file());
    assert_eq!(answers.asked(), [asked.clone(), asked]);
}

#[tokio::test]
async fn a_passphrase_that_is_wrong_or_unknown_is_told() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    encrypt(&sshd.identity_file(), "open sesame");
    let target = sshd.target("web1", "127.0.0.1");
    let error = log_in(&target, &options())
        .await
        .expect_err("nobody is there to ask");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(
        error
            .to_string()
            .contains("there is no passphrase; load it into the agent"),
        "{error}"
    );

    // The same answer is not tried twice.
    let answers = Answers::new(&["a", "a", "open sesame"]);
    let asking = options().credentials(answers.clone());
    let error = log_in(&target, &asking).await.expect_err("it is wrong");
    let text = format!("{error:?}");
    assert!(
        text.contains("the passphrase is wrong") && !text.contains("sesame"),
        "{text}"
    );
    assert_eq!(answers.asked().len(), 2);

    let mut target = target;
    let name = "ansible_ssh_private_key_passphrase";
    target.secrets.insert(name.into(), "open sesame".into());
    log_in(&target, &options())
        .await
        .expect("the inventory has it");

    // The server does not know the key: nobody is asked.
    let Some(strict) = Sshd::start(SshdOptions::default().refuse_keys()) else {
        return;
    };
    let target = Target {
        identity_file: target.identity_file,
        ..strict.target("web1", "127.0.0.1")
    };
    let answers = Answers::new(&["open sesame"]);
    let asking = options().credentials(answers.clone());
    log_in(&target, &asking)
        .await
        .expect_err("the key is unknown");
    assert_eq!(answers.asked(), []);
}

#[tokio::test]
async fn a_key_that_others_may_read_is_not_used() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(sshd.identity_file(), mode).expect("our own file");
    let target = sshd.target("web1", "127.0.0.1");
    let error = log_in(&target, &options()).await.expect_err("as for ssh");
    assert!(error.to_string().contains("(mode 644)"), "{error}");
}

// --- Agents ----------------------------------------------------------------------------------------------------------

fn with_agent(agent: &Agent) -> SessionOptions {
    options().agent_socket(agent.socket())
}

#[tokio::test]
async fn a_full_agent_does_not_use_up_the_tries() {
    let Some(sshd) = Sshd::start(SshdOptions::default().line("MaxAuthTries 3")) else {
        return;
    };
    let (folder, agent) = (sshd.folder(), Agent::start(sshd.folder()));
    for name in ["one", "two", "three", "four", "five"] {
        ssh_keygen(folder, &["-N", "", "-t", "ed25519", "-f", name]);
        agent.add(&folder.join(name));
    }
    let named = sshd.target("web1", "127.0.0.1");
    log_in(&named, &with_agent(&agent))
        .await
        .expect("the named file comes first");

    // In the agent, after the others: named by its private or its public half.
    agent.add(&sshd.identity_file());
    let elsewhere = folder.join("elsewhere");
    fs::rename(sshd.identity_file(), &elsewhere).expect("our folder");
    let public = Target {
        identity_file: Some(folder.join("identity.pub")),
        ..named.clone()
    };
    log_in(&public, &with_agent(&agent))
        .await
        .expect("what is named comes first");
    encrypt(&elsewhere, "unknown");
    let sealed = Target {
        identity_file: Some(elsewhere),
        ..named.clone()
    };
    log_in(&sealed, &with_agent(&agent))
        .await
        .expect("the agent has it open");

    let mut unnamed = named;
    unnamed.identity_file = None;
    let error = log_in(&unnamed, &with_agent(&agent))
        .await
        .expect_err("too many keys");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(error.to_string().contains("name the right key"), "{error}");
    let stranger = Target {
        identity_file: Some(folder.join("one")),
        ..unnamed
    };
    let only = with_agent(&agent).identities_only(true);
    let error = log_in(&stranger, &only)
        .await
        .expect_err("the right one is left out");
    assert_eq!(
        error.to_string().matches("(ssh-ed25519)").count(),
        1,
        "{error}"
    );
}

#[tokio::test]
async fn the_agent_signs_for_certificates() {
    let Some(sshd) = Sshd::start(certified()) else {
        return;
    };
    let (folder, agent) = (sshd.folder(), Agent::start(sshd.folder()));
    let mut target = sshd.target("web1", "127.0.0.1");
    // The agent has the key, the certificate is a file.
    agent.add(&sshd.identity_file());
    ssh_keygen(
        folder,
        &[
            "-s",
            "authority",
            "-I",
            "me",
            "-n",
            sshd.user(),
            "identity.pub",
        ],
    );
    let elsewhere = folder.join("elsewhere");
    fs::rename(sshd.identity_file(), &elsewhere).expect("our folder");
    target.identity_file = Some(folder.join("identity.pub"));
    let certificate = folder.join("identity-cert.pub");
    let named = with_agent(&agent).certificate_file(&certificate);
    log_in(&target, &named)
        .await
        .expect("the agent signs with the plain key");
    // The agent has both.
    drop(agent);
    fs::remove_file(folder.join("agent")).unwrap_or_default();
    let agent = Agent::start(folder);
    fs::rename(&elsewhere, sshd.identity_file()).expect("our folder");
    agent.add(&sshd.identity_file());
    fs::remove_file(&certificate).expect("our folder");
    target.identity_file = None;
    log_in(&target, &with_agent(&agent))
        .await
        .expect("the agent has the certificate");
}

#[tokio::test]
async fn an_agent_that_is_locked_or_gone_is_told_and_not_needed() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let mut agent = Agent::start(sshd.folder());
    agent.add(&sshd.identity_file());
    agent.lock();
    let target = sshd.target("web1", "127.0.0.1");
    log_in(&target, &with_agent(&agent))
        .await
        .expect("the file will do");
    let public = Target {
        identity_file: Some(sshd.folder().join("identity.pub")),
        ..target.clone()
    };
    let error = log_in(&public, &with_agent(&agent))
        .await
        .expect_err("it signs nothing");
    assert!(
        error.to_string().contains("the agent does not have"),
        "{error}"
    );
    agent.kill();
    log_in(&target, &with_agent(&agent))
        .await
        .expect("the file will do");
    let error = log_in(&public, &with_agent(&agent))
        .await
        .expect_err("it is gone");
    assert!(
        error.to_string().contains("which does not list its keys"),
        "{error}"
    );
}

/// An agent with one FIDO key (`sk-ssh-ed25519@openssh.com`), which signs as an authenticator does that was touched:
/// OpenSSH's PROTOCOL.u2f, and draft-ietf-sshm-ssh-agent for what is around it.
mod fido {
    use std::io;

    use russh::keys::ssh_encoding::{Decode, Encode};
    use russh::keys::ssh_key::sha2::{Digest, Sha256};
    use russh::keys::ssh_key::{SigningKey, private::Ed25519Keypair};
    use russh::keys::{PrivateKey, key::safe_rng};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{UnixListener, UnixStream};

    const TYPE: &str = "sk-ssh-ed25519@openssh.com";
    const APPLICATION: &str = "ssh:";

    pub(crate) struct Authenticator {
        key: Ed25519Keypair,
    }

    impl Authenticator {
        pub(crate) fn new() -> Self {
            let key = Ed25519Keypair::random(&mut safe_rng());
            Self { key }
        }

        /// The public key as SSH encodes it.
        pub(crate) fn blob(&self) -> Vec<u8> {
            let mut blob = Vec::new();
            put(&mut blob, TYPE.as_bytes());
            put(&mut blob, self.key.public.as_ref());
            put(&mut blob, APPLICATION.as_bytes());
            blob
        }

        /// Serves connections of clients until the runtime ends.
        pub(crate) async fn serve(self, listener: UnixListener) {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = self.answer(stream).await;
            }
        }

        async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
            loop {
                let length = stream.read_u32().await?;
                let mut request = vec![0; length as usize];
                stream.read_exact(&mut request).await?;
                let mut answer = Vec::new();
                match request[0] {
                    // SSH_AGENTC_REQUEST_IDENTITIES
                    11 => {
                        answer.extend([12, 0, 0, 0, 1]);
                        put(&mut answer, &self.blob());
                        put(&mut answer, b"a key");
                    }
                    // SSH_AGENTC_SIGN_REQUEST
                    13 => {
                        let mut rest = &request[1..];
                        let _key = Vec::<u8>::decode(&mut rest).expect("a key");
                        let text = Vec::<u8>::decode(&mut rest).expect("what to sign");
                        answer.push(14);
                        put(&mut answer, &self.sign(&text));
                    }
                    _ => answer.push(5),
                }
                stream.write_u32(answer.len() as u32).await?;
                stream.write_all(&answer).await?;
            }
        }

        fn sign(&self, text: &[u8]) -> Vec<u8> {
            // The flag says that somebody was there; the counter counts signatures.
            let state = [1, 0, 0, 0, 7];
            let mut signed = Sha256::digest(APPLICATION).to_vec();
            signed.extend(state);
            signed.extend(Sha256::digest(text));
            let key = PrivateKey::from(self.key.clone());
            let mut signature = Vec::new();
            put(&mut signature, TYPE.as_bytes());
            put(&mut signature, &raw(&key, &signed));
            signature.extend(state);
            signature
        }
    }

    fn raw(key: &impl SigningKey, text: &[u8]) -> Vec<u8> {
        key.try_sign(text)
            .expect("an open key signs")
            .as_bytes()
            .to_vec()
    }

    fn put(to: &mut Vec<u8>, bytes: &[u8]) {
        bytes.encode(to).expect("it is short");
    }
}

#[tokio::test]
async fn a_fido_key_in_the_agent_logs_in() {
    use russh::keys::ssh_encoding::base64::{Base64, Encoding};

    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let authenticator = fido::Authenticator::new();
    let key = Base64::encode_string(&authenticator.blob());
    let line = format!("sk-ssh-ed25519@openssh.com {key}\n");
    fs::write(sshd.folder().join("authorized_keys"), line).expect("our own file");
    let socket = sshd.folder().join("authenticator");
    let listener = tokio::net::UnixListener::bind(&socket).expect("our own folder");
    tokio::spawn(authenticator.serve(listener));
    let mut target = sshd.target("web1", "127.0.0.1");
    target.identity_file = None;
    if let Err(error) = log_in(&target, &options().agent_socket(socket)).await {
        panic!("{error:?}\n{}", sshd.log());
    }
}

// --- Passwords -------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_password_logs_in_from_credentials_or_the_inventory() {
    let Some(sshd) = Sshd::start(SshdOptions::default().passwords("password")) else {
        return;
    };
    let mut target = sshd.target("web1", "127.0.0.1");
    let error = log_in(&target, &options())
        .await
        .expect_err("there is none");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    let text = error.to_string();
    assert!(
        text.contains("would take: password; there is no password"),
        "{text}"
    );

    let password = options().credentials(Arc::new(ThePassword(sshd.password())));
    log_in(&target, &password).await.expect("it is right");

    let wrong = Answers::new(&["wrong", "wrong", "x"]);
    let error = log_in(&target, &options().credentials(wrong.clone())).await;
    let error = error.expect_err("it is wrong");
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
    assert_eq!(wrong.asked(), [Purpose::Password, Purpose::Password]);

    target
        .secrets
        .insert("ansible_password".into(), sshd.password().into());
    log_in(&target, &options())
        .await
        .expect("the inventory has it");
}

#[tokio::test]
async fn questions_are_answered() {
    let asks = SshdOptions::default()
        .passwords("keyboard-interactive")
        .line("KbdInteractiveAuthentication yes")
        .line("UsePAM yes");
    let Some(sshd) = Sshd::start(asks) else {
        return;
    };
    let target = sshd.target("web1", "127.0.0.1");
    let password = options().credentials(Arc::new(ThePassword(sshd.password())));
    if let Err(error) = log_in(&target, &password).await {
        panic!("{error:?}\n{}", sshd.log());
    }
    let nobody = Answers::new(&[]);
    let error = log_in(&target, &options().credentials(nobody.clone())).await;
    let error = error.expect_err("nobody answers");
    assert!(
        error.to_string().contains("where nobody answers"),
        "{error}"
    );
    let question = nobody.asked().pop();
    assert!(
        matches!(&question, Some(Purpose::KeyboardInteractive { prompt, echo: false, .. }) if prompt.contains("assword")),
        "{question:?}"
    );
}

#[tokio::test]
async fn several_methods_in_a_row_log_in() {
    for methods in ["publickey,password", "password,publickey"] {
        let Some(sshd) = Sshd::start(SshdOptions::default().passwords(methods)) else {
            return;
        };
        let target = sshd.target("web1", "127.0.0.1");
        let password = options().credentials(Arc::new(ThePassword(sshd.password())));
        if let Err(error) = log_in(&target, &password).await {
            panic!("{methods}: {error:?}\n{}", sshd.log());
        }
        let error = log_in(&target, &options())
            .await
            .expect_err("a half is missing");
        assert!(
            error.to_string().contains("would take: password"),
            "{methods}: {error}"
        );
    }
    let Some(sshd) =
        Sshd::start(SshdOptions::default().line("AuthenticationMethods publickey,publickey"))
    else {
        return;
    };
    let (folder, target) = (sshd.folder(), sshd.target("web1", "127.0.0.1"));
    let error = log_in(&target, &options())
        .await
        .expect_err("one key is not enough");
    assert!(
        error
            .to_string()
            .contains("accepted, but more is asked for"),
        "{error}"
    );
    ssh_keygen(folder, &["-N", "", "-t", "ecdsa", "-f", "second"]);
    let keys = ["identity.pub", "second.pub"]
        .map(|name| fs::read_to_string(folder.join(name)).expect("made"));
    fs::write(folder.join("authorized_keys"), keys.concat()).expect("our own file");
    let both = options()
        .identity_file(sshd.identity_file())
        .identity_file(folder.join("second"));
    let mut target = target;
    target.identity_file = None;
    log_in(&target, &both).await.expect("both keys are known");
}

// --- OpenSSH's configuration -----------------------------------------------------------------------------------------

#[tokio::test]
async fn the_configuration_says_how_to_log_in() {
    let sshd = SshdOptions::default().passwords("publickey password");
    let Some(sshd) = Sshd::start(sshd) else {
        return;
    };
    let target = sshd.target("web1", "127.0.0.1");
    let answers = Answers::new(&["wrong", "wrong too", "wrong again"]);
    let password = "PreferredAuthentications password\nNumberOfPasswordPrompts 2";
    let asking = configured(password).credentials(answers.clone());
    let error = log_in(&target, &asking)
        .await
        .expect_err("the key is not tried");
    assert!(!error.to_string().contains("ssh-ed25519"), "{error}");
    assert_eq!(answers.asked(), [Purpose::Password, Purpose::Password]);
    let batch = configured("PubkeyAuthentication no\nBatchMode yes").credentials(answers.clone());
    log_in(&target, &batch).await.expect_err("nobody is asked");
    assert_eq!(answers.asked().len(), 2);

    let error = log_in(
        &target,
        &configured("PubkeyAcceptedAlgorithms rsa-sha2-512"),
    )
    .await;
    let error = error.expect_err("the key is of another type");
    assert!(
        error.to_string().contains("(PubkeyAcceptedAlgorithms)"),
        "{error}"
    );
    log_in(&target, &configured("PubkeyAcceptedAlgorithms ssh-ed25519"))
        .await
        .expect("it is one");
}

#[tokio::test]
async fn an_rsa_key_of_ours_that_is_too_short_is_not_offered() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let (folder, agent) = (sshd.folder(), Agent::start(sshd.folder()));
    ssh_keygen(
        folder,
        &["-N", "", "-t", "rsa", "-b", "2048", "-f", "short"],
    );
    ssh_keygen(
        folder,
        &["-s", "authority", "-I", "me", "-n", "x", "short.pub"],
    );
    let short = folder.join("short");
    agent.add(&short);
    let file = Target {
        identity_file: Some(short),
        ..sshd.target("web1", "127.0.0.1")
    };
    let with = |size: u32, agent: &str| {
        configured(&format!("RequiredRSASize {size}\nIdentityAgent {agent}"))
    };
    let in_agent = agent.socket().display().to_string();
    for (target, agent) in [
        (file.clone(), "none"),
        (file.clone(), &in_agent),
        (
            Target {
                identity_file: None,
                ..file
            },
            &in_agent,
        ),
    ] {
        for (size, told) in [(2048, 0), (2049, 2)] {
            let error = log_in(&target, &with(size, agent)).await;
            let text = error.expect_err("the key is unknown").to_string();
            let reason = "not offered, for it is an RSA key of 2048 bits, and 2049 are required";
            assert_eq!(text.matches(reason).count(), told, "{agent}: {text}");
        }
    }
}
