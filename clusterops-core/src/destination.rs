//! The grammar of `[user@]host[:port]`, which targets and jump hosts share.

use std::net::Ipv6Addr;

use crate::text::is_invisible;
use crate::{Error, ErrorKind, Place};

/// What `[user@]host[:port]` says; an IPv6 address without its brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Destination<'a> {
    pub(crate) user: Option<&'a str>,
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

/// What is wrong with a text, and the byte at which it starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    pub(crate) at: usize,
    pub(crate) message: String,
}

impl Flaw {
    /// The same flaw when `start` bytes stand before the text.
    pub(crate) fn after(self, start: usize) -> Self {
        Self {
            at: self.at + start,
            ..self
        }
    }

    /// The error about `text`, which is `what`.
    pub(crate) fn of(self, what: &str, text: &str) -> Error {
        let message = format!("{what} `{text}`: {}", self.message);
        Error::new(ErrorKind::Syntax, message).at(Place {
            file: None,
            line: None,
            column: Some(text[..self.at].chars().count() + 1),
        })
    }
}

impl<'a> Destination<'a> {
    /// Reads a destination; an IPv6 address with a port stands in brackets, without a port it may stand bare.
    pub(crate) fn read(text: &'a str) -> Result<Self, Flaw> {
        let at = |part: &str| text.len() - part.len();
        check_visible(text)?;
        // A user name may hold `@` (Kerberos principals); a host name may not.
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, text),
        };
        if let Some(user) = user {
            check_user(user)?;
        }
        let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
            let Some((host, after)) = inner.split_once(']') else {
                return flaw(at(rest), "the bracket is not closed");
            };
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return flaw(at(after), "only `:port` may follow the bracket"),
            }
        } else {
            match rest.split_once(':') {
                // Two colons and no bracket: a bare IPv6 address.
                Some((_, port)) if port.contains(':') => (rest, None),
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            }
        };
        check_host(host).map_err(|message| Flaw {
            at: at(rest),
            message,
        })?;
        let port = match port {
            None => None,
            Some(digits) => match read_port(digits) {
                None => return flaw(at(digits), format!("`{digits}` is not a port (1 to 65535)")),
                port => port,
            },
        };
        Ok(Self { user, host, port })
    }
}

/// The port in a text of nothing but digits.
pub(crate) fn read_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port > 0)
}

/// Refuses what no login name is: nothing, white space, control characters, or an option of a program (`-x`).
pub(crate) fn check_user(user: &str) -> Result<(), Flaw> {
    check_visible(user)?;
    if user.is_empty() {
        return flaw(0, "the user name is empty");
    }
    if user.starts_with('-') {
        return flaw(0, "a user name does not start with `-`");
    }
    Ok(())
}

fn check_host(host: &str) -> Result<(), String> {
    if host.is_empty() || host.starts_with('-') {
        return Err("the host is empty or starts with `-`".into());
    }
    if let Some(wrong) = host.chars().find(|c| "/[]".contains(*c)) {
        return Err(format!("a host name has no `{wrong}`"));
    }
    let is_ip = |host: &str| {
        let ip = host.split_once('%').map_or(host, |(ip, _)| ip);
        ip.parse::<Ipv6Addr>().is_ok()
    };
    if host.contains(':') && !is_ip(host) {
        return Err(format!("`{host}` is not an IPv6 address"));
    }
    Ok(())
}

fn check_visible(text: &str) -> Result<(), Flaw> {
    match text.find(|c: char| c.is_whitespace() || is_invisible(c)) {
        Some(at) => flaw(
            at,
            "white space and invisible characters have no place here",
        ),
        None => Ok(()),
    }
}

fn flaw<T>(at: usize, message: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw {
        at,
        message: message.into(),
    })
}
