//! Secrets in the environment.

use std::sync::Arc;

use clusterops::core::secrecy::SecretString;
use clusterops::ssh::{Credentials, ErrorKind, Purpose};
use clusterops::{Plan, Stage, Target};

use super::support::{Sshd, SshdOptions};
use super::{fleet, run, targets};

#[derive(Debug)]
struct Vault;

#[async_trait::async_trait]
impl Credentials for Vault {
    async fn secret(
        &self,
        target: &Target,
        purpose: &Purpose,
    ) -> clusterops::ssh::Result<Option<SecretString>> {
        match purpose {
            Purpose::Environment(name) if name == "db" => {
                Ok(Some(format!("pa'ss\n{}", target.name).into()))
            }
            _ => Ok(None),
        }
    }
}

#[tokio::test]
async fn secrets_reach_the_environment_and_nothing_else() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    // What `ps` would show of the whole session, beside what the command sees.
    let line = "printf '%s' \"$DB_PASSWORD\" | wc -c; cat /proc/$$/cmdline /proc/$PPID/cmdline | tr '\\0' ' '";
    let plan = Plan::new("p").stage(Stage::shell("s", line).secret_env("DB_PASSWORD", "db"));
    let with = fleet(targets(&sshd, 1)).credentials(Arc::new(Vault));
    let report = run(&with, &plan).await;
    let said = report.host("web1").expect("a host").stages[0]
        .stdout
        .to_string();
    assert!(
        said.starts_with("10\n") && !said.contains("pa'ss"),
        "{said}"
    );
    assert!(
        !serde_json::to_string(&report)
            .expect("plain data")
            .contains("pa'ss")
    );
    assert!(!sshd.log().contains("pa'ss"));

    let unknown = Plan::new("p").stage(Stage::shell("s", line).secret_env("DB_PASSWORD", "other"));
    let report = run(&with, &unknown).await;
    assert_eq!(
        report.hosts[0].failure.as_ref().expect("no secret").kind,
        ErrorKind::Secret
    );
    // Nobody to ask is known before the first connection.
    let error = fleet(targets(&sshd, 1)).run(&unknown).expect_err("nobody");
    assert_eq!(error.kind(), ErrorKind::Secret);
    assert!(
        error
            .to_string()
            .contains("stage `s` needs the secret `other`"),
        "{error}"
    );
}

#[derive(Debug)]
struct Broken;

#[async_trait::async_trait]
impl Credentials for Broken {
    async fn secret(
        &self,
        target: &Target,
        _: &Purpose,
    ) -> clusterops::ssh::Result<Option<SecretString>> {
        assert_ne!(target.name, "web2", "a panic in credentials");
        Ok(Some("secret".to_owned().into()))
    }
}

#[tokio::test]
async fn a_panic_in_credentials_ends_one_host_only() {
    let Some(sshd) = Sshd::start(SshdOptions::default()) else {
        return;
    };
    let plan = Plan::new("p")
        .stage(
            Stage::command("first", ["true"])
                .secret_env("S", "s")
                .barrier(),
        )
        .stage(Stage::command("second", ["true"]).run_once());
    let report = run(
        &fleet(targets(&sshd, 3)).credentials(Arc::new(Broken)),
        &plan,
    )
    .await;
    assert_eq!(report.failed().to_string(), "web2");
    assert_eq!(
        report
            .host("web2")
            .and_then(|host| host.failure.clone())
            .expect("it broke")
            .kind,
        ErrorKind::Secret
    );
}
