//! How tests connect, with nothing left to the machine that they run on.

use clusterops::config::Config;
use clusterops::ssh::Error;
use clusterops::{Session, SessionOptions, Target};

/// Options without an agent.
pub(crate) fn options() -> SessionOptions {
    configured("")
}

/// Options with these lines as OpenSSH's configuration; without an agent unless they name one.
pub(crate) fn configured(lines: &str) -> SessionOptions {
    let defaults = "Match all\n IdentityAgent none\n GlobalKnownHostsFile none\n";
    let config = Config::parse(format!("{lines}\n{defaults}"), "test");
    SessionOptions::default().config(config.expect("a configuration"))
}

/// Connects, and says goodbye.
pub(crate) async fn log_in(target: &Target, options: &SessionOptions) -> Result<(), Error> {
    Session::connect(target, options).await?.close().await;
    Ok(())
}
