//! Passwords that were told, for as long as their connections are made.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;

use super::super::settings::Settings;
use super::Asking;
use crate::{Purpose, Result};

/// What is known of the passwords of all accounts.
#[derive(Default)]
pub(crate) struct Passwords(Mutex<HashMap<Name, Account>>);

/// A user at an address and a port.
type Name = (String, String, u16);

/// One account's password; the lock is held from the question to the server's answer, so that nobody is asked twice, and
/// no wrong password is sent twice.
pub(crate) type Account = Arc<tokio::sync::Mutex<Password>>;

/// What is known of the password of one account.
#[derive(Default)]
pub(crate) struct Password {
    accepted: Option<SecretString>,
    refused: Vec<SecretString>,
}

impl Passwords {
    pub(super) fn account(&self, settings: &Settings) -> Account {
        let name = (
            settings.user.clone(),
            settings.address.clone(),
            settings.port,
        );
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(accounts.entry(name).or_default())
    }
}

impl Password {
    /// The password to send: the one that was accepted before, or another one than those that were refused.
    pub(super) async fn next(
        &self,
        asking: &Asking<'_>,
        prompts: u32,
    ) -> Result<Option<SecretString>> {
        match &self.accepted {
            Some(password) => Ok(Some(password.clone())),
            None if self.refused.len() >= prompts as usize => Ok(None),
            None => asking.next(&Purpose::Password, &self.refused).await,
        }
    }

    pub(super) fn accept(&mut self, password: SecretString) {
        self.accepted = Some(password);
    }

    pub(super) fn refuse(&mut self, password: SecretString) {
        self.accepted = None;
        self.refused.push(password);
    }

    /// Whether one has been sent in vain, on this connection or an earlier one.
    pub(super) fn was_refused(&self) -> bool {
        !self.refused.is_empty()
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords")
    }
}
