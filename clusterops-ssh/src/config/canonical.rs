//! The name or address that is connected to: CanonicalizeHostname and its friends (ssh_config(5)).

use std::net::IpAddr;

use dns_lookup::{AddrFamily, AddrInfoHints, SockType};
use nix::ifaddrs::getifaddrs;
use nix::libc::{AI_CANONNAME, AI_NUMERICHOST, NI_NUMERICHOST, NI_NUMERICSERV};
use nix::net::if_::InterfaceFlags;

use super::keyword::Keyword;
use super::local::Local;
use super::pattern::{self, Verdict};
use super::settings::Settings;
use super::value::Value;

/// Asks the resolver of this machine for a name: its canonical name, empty when that is not told; `None` when there is
/// no such name.
pub(super) type Lookup = fn(name: &str, family: Option<AddressFamily>) -> Option<String>;

/// Which kind of IP addresses is used (`AddressFamily`, ssh_config(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressFamily {
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

/// The host after the first pass over the files: an address in its usual form, a name in lower case and, where that is
/// asked for, completed and followed by the resolver. An error says that the resolver does not know the name.
pub(super) fn host(local: &Local, settings: &Settings, host: String) -> Result<String, String> {
    let family = family(settings);
    let is_address = is_address(&host);
    let host = usual_name(&host, family);
    if is_address {
        return Ok(host);
    }
    let asked = settings
        .choice(Keyword::CanonicalizeHostname)
        .unwrap_or("false");
    let is_direct = settings.proxy_command().is_none() && settings.jump().is_none();
    // A proxy looks names up for itself, unless all are to be canonical.
    if !is_direct && asked != "always" {
        return Ok(host);
    }
    if asked != "false"
        && let Some(found) = complete(local, settings, family, &host)?
    {
        return Ok(found);
    }
    // These hold for a name that was not to be completed, too.
    let rules = rules(settings);
    if rules.is_empty() {
        return Ok(host);
    }
    match (local.lookup)(&host, family) {
        Some(canonical) => Ok(follow(rules, host, &canonical)),
        None if is_direct => Err(format!("Could not resolve hostname {host}")),
        None => Ok(host),
    }
}

/// An address in its usual form, a name in lower case.
pub(super) fn usual_name(host: &str, family: Option<AddressFamily>) -> String {
    match usual_form(host, family) {
        Some(usual) if usual.eq_ignore_ascii_case(host) => host.to_owned(),
        Some(usual) => usual,
        None if is_address(host) => host.to_owned(),
        None => host.to_ascii_lowercase(),
    }
}

/// Appends the domains to a short name until the resolver knows it.
fn complete(
    local: &Local,
    settings: &Settings,
    family: Option<AddressFamily>,
    host: &str,
) -> Result<Option<String>, String> {
    let candidates: Vec<String> = if host.ends_with('.') {
        vec![host.to_owned()]
    } else {
        let most = settings.number(Keyword::CanonicalizeMaxDots).unwrap_or(1);
        if host.matches('.').count() > most as usize {
            return Ok(None);
        }
        let domains = settings.texts(Keyword::CanonicalDomains).iter();
        let domains = domains.take_while(|domain| !domain.eq_ignore_ascii_case("none"));
        domains.map(|domain| format!("{host}.{domain}.")).collect()
    };
    for candidate in candidates {
        if let Some(canonical) = (local.lookup)(&candidate, family) {
            let name = candidate.trim_end_matches('.').to_owned();
            return Ok(Some(follow(rules(settings), name, &canonical)));
        }
    }
    match settings.choice(Keyword::CanonicalizeFallbackLocal) {
        Some("no") => Err(format!("Could not resolve host \"{host}\"")),
        _ => Ok(None),
    }
}

/// The rules of CanonicalizePermittedCNAMEs.
fn rules(settings: &Settings) -> &[(String, String)] {
    match settings
        .get(Keyword::CanonicalizePermittedCNAMEs)
        .map(|setting| &*setting.value)
    {
        Some(Value::Cnames(rules)) if !is_none(rules) => rules,
        _ => &[],
    }
}

/// Whether the rules say `none`.
pub(super) fn is_none(rules: &[(String, String)]) -> bool {
    matches!(rules, [(source, target)] if source.eq_ignore_ascii_case("none") && target.is_empty())
}

fn follow(rules: &[(String, String)], name: String, canonical: &str) -> String {
    let is_permitted = !canonical.is_empty()
        && canonical != name
        && rules.iter().any(|(source, target)| {
            pattern::host_list(&name, source) == Verdict::Match
                && pattern::host_list(canonical, target) == Verdict::Match
        });
    if is_permitted {
        canonical.to_ascii_lowercase()
    } else {
        name
    }
}

/// The kind of addresses that is asked for, if one is.
pub(super) fn family(settings: &Settings) -> Option<AddressFamily> {
    match settings.choice(Keyword::AddressFamily) {
        Some("inet") => Some(AddressFamily::Inet),
        Some("inet6") => Some(AddressFamily::Inet6),
        _ => None,
    }
}

/// Whether a text can only be an address (`is_addr_fast` of OpenSSH).
fn is_address(text: &str) -> bool {
    text.contains(['%', ':'])
        || text
            .chars()
            .all(|letter| letter.is_ascii_digit() || letter == '.')
}

/// An address as the system reads and writes it (`resolve_addr` of OpenSSH): the four parts of an IPv4 address filled in,
/// one that IPv6 carries in its own form where IPv4 is asked for, and the interface behind a `%` by its name. `None`
/// when it is none, or not of the family.
fn usual_form(text: &str, family: Option<AddressFamily>) -> Option<String> {
    // The system would not find more in other names, and most are.
    if !text.contains(':') && !text.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let hints = AddrInfoHints {
        flags: AI_NUMERICHOST,
        ..hints(family)
    };
    let mut found = dns_lookup::getaddrinfo(Some(text), None, Some(hints)).ok()?;
    let address = found.next()?.ok()?.sockaddr;
    let (usual, _) = dns_lookup::getnameinfo(&address, NI_NUMERICHOST | NI_NUMERICSERV).ok()?;
    Some(usual)
}

/// Asks getaddrinfo(3).
pub(super) fn look_up(name: &str, family: Option<AddressFamily>) -> Option<String> {
    let hints = AddrInfoHints {
        flags: AI_CANONNAME,
        ..hints(family)
    };
    let mut found = dns_lookup::getaddrinfo(Some(name), None, Some(hints)).ok()?;
    let first = found.next()?.ok()?;
    Some(first.canonname.unwrap_or_default())
}

fn hints(family: Option<AddressFamily>) -> AddrInfoHints {
    AddrInfoHints {
        socktype: SockType::Stream.into(),
        address: match family {
            None => 0,
            Some(AddressFamily::Inet) => AddrFamily::Inet.into(),
            Some(AddressFamily::Inet6) => AddrFamily::Inet6.into(),
        },
        ..AddrInfoHints::default()
    }
}

/// The addresses of the network interfaces that are up.
pub(super) fn addresses() -> Result<Vec<IpAddr>, String> {
    let interfaces =
        getifaddrs().map_err(|error| format!("the network interfaces are not known: {error}"))?;
    let up = interfaces.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
    let addresses = up.filter_map(|interface| {
        let address = interface.address?;
        match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(address), _) => Some(IpAddr::V4(address.ip())),
            (_, Some(address)) => Some(IpAddr::V6(address.ip())),
            _ => None,
        }
    });
    Ok(addresses.collect())
}
