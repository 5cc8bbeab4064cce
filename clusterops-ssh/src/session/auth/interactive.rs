//! Logging in with a password (RFC 4252, section 8) and with answers to questions (RFC 4256).

use russh::client::{AuthResult, KeyboardInteractiveAuthResponse as Response, Prompt};
use secrecy::zeroize::Zeroize;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OwnedMutexGuard;

use super::passwords::Password;
use super::{Answer, Login, Method};
use crate::{Error, ErrorKind, Purpose, Result};

/// How often a server may come back with more questions.
const ROUNDS: usize = 16;

impl Login<'_> {
    /// Sends the password, once.
    pub(super) async fn password(&mut self) -> Result<Answer> {
        let mut account = self.account().await?;
        let prompts = self.settings.password_prompts;
        let Some(password) = account.next(self.asking, prompts).await? else {
            if account.was_refused()
                && !self.tried.iter().any(|tried| tried.starts_with("password"))
            {
                self.tried
                    .push("password (the one that was refused before)".to_owned());
            }
            self.give_up(Method::Password);
            return Ok(Answer::Failure);
        };
        let user = &self.settings.user;
        let text = password.expose_secret();
        let result = self.connection.authenticate_password(user, text).await;
        let answer = self.judge(Some("password".to_owned()), result);
        note(&mut account, password, &answer);
        answer
    }

    /// Answers the server's questions, once: an answer that is used up, such as a one-time code, is wrong the second time.
    pub(super) async fn keyboard_interactive(&mut self) -> Result<Answer> {
        self.give_up(Method::KeyboardInteractive);
        if !self.asking.can_answer(&Purpose::Password) {
            return Ok(Answer::Failure);
        }
        let mut sent = None;
        let user = self.settings.user.clone();
        let connection = &mut *self.connection;
        let mut response = connection
            .authenticate_keyboard_interactive_start(user, None)
            .await;
        for _ in 0..ROUNDS {
            let (name, instructions, prompts) = match response {
                Ok(Response::InfoRequest {
                    name,
                    instructions,
                    prompts,
                }) => (clean(&name), clean(&instructions), prompts),
                response => return self.answered(response, sent),
            };
            let mut answers = Vec::new();
            for Prompt { prompt, echo } in prompts {
                let question = Purpose::KeyboardInteractive {
                    name: name.clone(),
                    instruction: instructions.clone(),
                    prompt: clean(&prompt),
                    echo,
                };
                match self.answer(question, &mut sent).await? {
                    Some(answer) => answers.push(answer.expose_secret().to_owned()),
                    None => {
                        answers.iter_mut().for_each(Zeroize::zeroize);
                        // russh lets nothing but an answer through now, and an empty one would count as a wrong one.
                        self.tried.push(format!(
                            "keyboard-interactive, where nobody answers {:?}",
                            clean(&prompt)
                        ));
                        return Err(self.failed());
                    }
                }
            }
            let connection = &mut *self.connection;
            response = connection
                .authenticate_keyboard_interactive_respond(answers)
                .await;
        }
        let message = "the server did not stop asking questions (keyboard-interactive)";
        Err(Error::new(ErrorKind::Authentication, message))
    }

    fn answered(
        &mut self,
        response: Result<Response, russh::Error>,
        sent: Option<(OwnedMutexGuard<Password>, SecretString)>,
    ) -> Result<Answer> {
        let result = response.map(|response| match response {
            Response::Failure {
                remaining_methods,
                partial_success,
            } => AuthResult::Failure {
                remaining_methods,
                partial_success,
            },
            _ => AuthResult::Success,
        });
        let answer = self.judge(Some(Method::KeyboardInteractive.to_string()), result);
        if let Some((mut account, password)) = sent {
            note(&mut account, password, &answer);
        }
        answer
    }

    /// The answer to one question. One that plainly asks for the password, as PAM's does, is answered with it.
    async fn answer(
        &mut self,
        question: Purpose,
        sent: &mut Option<(OwnedMutexGuard<Password>, SecretString)>,
    ) -> Result<Option<SecretString>> {
        let wants_password = matches!(
            &question,
            Purpose::KeyboardInteractive { prompt, echo: false, .. }
                if prompt.to_ascii_lowercase().contains("password")
        );
        if !wants_password || sent.is_some() {
            return self.asking.next(&question, &[]).await;
        }
        let account = self.account().await?;
        let password = account
            .next(self.asking, self.settings.password_prompts)
            .await?;
        match password {
            Some(password) => {
                *sent = Some((account, password.clone()));
                Ok(Some(password))
            }
            None if account.was_refused() => Ok(None),
            None => self.asking.next(&question, &[]).await,
        }
    }

    async fn account(&self) -> Result<OwnedMutexGuard<Password>> {
        let account = self.shared.passwords.account(self.settings);
        self.asking.wait(account.lock_owned()).await.ok_or_else(|| {
            let message =
                "another connection to this host has been asking for the password for too long";
            Error::new(ErrorKind::Secret, message)
        })
    }
}

/// Remembers what the server said to a password.
fn note(account: &mut Password, password: SecretString, answer: &Result<Answer>) {
    match answer {
        Ok(Answer::Success | Answer::Partial) => account.accept(password),
        Ok(Answer::Failure) => account.refuse(password),
        // A server that hangs up on a password does not take it; a lost line says nothing about it.
        Err(error) if error.kind() == ErrorKind::Authentication => account.refuse(password),
        Err(_) => {}
    }
}

/// What a server says, fit for a terminal.
fn clean(text: &str) -> String {
    let is_fit = |character: &char| !character.is_control() || *character == '\n';
    text.chars().filter(is_fit).take(2000).collect()
}
