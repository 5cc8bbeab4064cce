//! What stands behind a keyword, read and checked as OpenSSH's `readconf.c` does it.

use clusterops_core::{JumpHosts, did_you_mean};

use super::algorithms::Specification;
use super::keyword::{Keyword, Kind};
use super::line::Line;
use super::tokens;

/// The largest number and time that OpenSSH takes.
const INT_MAX: i64 = 0x7fff_ffff;

/// The value of a keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// The word that `ssh -G` prints.
    Choice(&'static str),
    /// A number, a port or seconds.
    Number(u32),
    Text(String),
    Texts(Vec<String>),
    Algorithms(Specification),
    Jump(Jump),
    /// Bytes, and seconds where they are given.
    Rekey(u64, Option<u32>),
    /// Names and lists of names: a host name that matches the first may become one that matches the second.
    Cnames(Vec<(String, String)>),
}

/// The value of `ProxyJump`, with its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Jump {
    /// As written, without a comment.
    pub(super) text: String,
    pub(super) hosts: JumpHosts,
}

impl Value {
    /// Reads the value of `keyword`; `None` for one that leaves the keyword unset.
    pub(super) fn read(
        keyword: Keyword,
        line: &Line<'_>,
        environment: tokens::Environment<'_>,
    ) -> Result<Option<Self>, String> {
        let mut arguments = Arguments {
            left: &line.arguments,
        };
        let value = match keyword.kind() {
            Kind::Choice(choices) => Some(choice(arguments.one()?, choices)?),
            Kind::Time => match arguments.one()? {
                "none" => None,
                text => Some(Self::Number(time(text)?)),
            },
            Kind::Integer => {
                let text = arguments.one()?;
                let message = || format!("`{text}` is not a number from 0 to {INT_MAX}");
                Some(Self::Number(number(text, INT_MAX).ok_or_else(message)?))
            }
            Kind::Port => {
                let text = arguments.one()?;
                let port = port(text).ok_or_else(|| format!("Bad port '{text}'"))?;
                Some(Self::Number(port.into()))
            }
            Kind::Text | Kind::Lines => Some(Self::Text(arguments.one()?.to_owned())),
            Kind::Agent => {
                let text = arguments.one()?;
                check_agent(text, environment)?;
                Some(Self::Text(text.to_owned()))
            }
            Kind::Paths(most) => {
                let paths = arguments.all_or_none()?;
                if paths.len() > most {
                    return Err(format!("more than {most} files"));
                }
                (!paths.is_empty()).then_some(Self::Texts(paths))
            }
            Kind::Command => {
                arguments.left = &[];
                Some(Self::Text(line.command().to_owned()))
            }
            Kind::Algorithms(family) => {
                let text = arguments.one()?;
                let read = Specification::read(family, text);
                let message = |unknown: String| {
                    if unknown.is_empty() {
                        return format!("Bad {} '{text}': a name is missing", keyword.spelling());
                    }
                    let hint = did_you_mean(&unknown, family.all());
                    format!(
                        "Bad {} '{text}': no release knows `{unknown}`{hint}",
                        keyword.spelling()
                    )
                };
                Some(Self::Algorithms(read.map_err(message)?))
            }
            Kind::Jump => {
                arguments.left = &[];
                Some(Self::Jump(Jump::read(line.command())?))
            }
            Kind::Rekey => {
                let bytes = match arguments.one()? {
                    "default" => 0,
                    text => scaled(text).ok_or_else(|| format!("Bad number '{text}'"))?,
                };
                if (1..16).contains(&bytes) {
                    return Err("RekeyLimit too small".into());
                }
                let interval = match arguments.next() {
                    None | Some("none") => None,
                    Some(text) => Some(time(text)?),
                };
                Some(Self::Rekey(bytes, interval))
            }
            Kind::SendEnv => {
                let names = arguments.rest();
                match names
                    .iter()
                    .find(|name| name.is_empty() || name.contains('='))
                {
                    Some(name) => return Err(format!("Invalid environment name `{name}`")),
                    None => Some(Self::Texts(names)),
                }
            }
            Kind::SetEnv => {
                let mut settings: Vec<String> = Vec::new();
                for setting in arguments.rest() {
                    let Some((name, _)) = setting.split_once('=') else {
                        return Err(format!(
                            "Invalid SetEnv `{setting}`; it is written NAME=VALUE"
                        ));
                    };
                    let is_set = |other: &String| {
                        other
                            .split_once('=')
                            .is_some_and(|(other, _)| other == name)
                    };
                    if !settings.iter().any(is_set) {
                        settings.push(setting);
                    }
                }
                (!settings.is_empty()).then_some(Self::Texts(settings))
            }
            Kind::Domains => {
                let domains = arguments.all_or_none()?;
                let domains = domains.iter().map(|domain| self::domain(domain));
                let domains: Vec<_> = domains.collect::<Result<_, _>>()?;
                (!domains.is_empty()).then_some(Self::Texts(domains))
            }
            Kind::Cnames => {
                let rules = arguments.all_or_none()?;
                let rules = rules.iter().map(|rule| cname_rule(rule));
                let rules: Vec<_> = rules.collect::<Result<_, _>>()?;
                (!rules.is_empty()).then_some(Self::Cnames(rules))
            }
            Kind::Any => {
                let words = arguments.rest();
                if words.is_empty() {
                    return Err("missing argument".into());
                }
                Some(Self::Text(words.join(" ")))
            }
            Kind::Deprecated => {
                arguments.left = &[];
                None
            }
        };
        match arguments.left {
            [] => Ok(value),
            _ => Err(format!(
                "keyword {} extra arguments at end of line",
                line.keyword
            )),
        }
    }
}

/// The arguments of a line that nobody has read yet.
struct Arguments<'a> {
    left: &'a [String],
}

impl<'a> Arguments<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, left) = self.left.split_first()?;
        self.left = left;
        Some(first)
    }

    /// One argument that is not empty.
    fn one(&mut self) -> Result<&'a str, String> {
        let argument = self.next().filter(|argument| !argument.is_empty());
        argument.ok_or_else(|| "missing argument".into())
    }

    fn rest(&mut self) -> Vec<String> {
        std::mem::take(&mut self.left).to_vec()
    }

    /// All that are left, none of them empty; `none` stands alone.
    fn all_or_none(&mut self) -> Result<Vec<String>, String> {
        let arguments = self.rest();
        if arguments.iter().any(String::is_empty) {
            return Err("empty argument".into());
        }
        let has_none = arguments
            .iter()
            .any(|argument| argument.eq_ignore_ascii_case("none"));
        if has_none && arguments.len() > 1 {
            return Err("\"none\" argument must appear alone".into());
        }
        Ok(arguments)
    }
}

impl Jump {
    fn read(text: &str) -> Result<Self, String> {
        let text = text.split('#').next().unwrap_or_default().trim_end();
        let hosts = text
            .parse()
            .map_err(|error| format!("Invalid ProxyJump: {error}"))?;
        Ok(Self {
            text: text.to_owned(),
            hosts,
        })
    }

    /// Whether it says `none`.
    pub(super) fn is_none(&self) -> bool {
        self.hosts.hosts().is_empty()
    }
}

fn choice(text: &str, choices: &'static [(&'static str, &'static str)]) -> Result<Value, String> {
    match choices
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
    {
        Some((_, printed)) => Ok(Value::Choice(printed)),
        None => {
            let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
            Err(format!(
                "unsupported option \"{text}\"; it is one of {}",
                words.join(", ")
            ))
        }
    }
}

/// A number up to `most`, as `strtonum` reads it: white space and a `+` may stand in front.
pub(super) fn number(text: &str, most: i64) -> Option<u32> {
    let digits =
        text.trim_start_matches(|letter: char| letter.is_ascii_whitespace() || letter == '\u{b}');
    let number = digits
        .parse::<i64>()
        .ok()
        .filter(|number| (0..=most).contains(number))?;
    u32::try_from(number).ok()
}

/// A port, or the port of a service that /etc/services names (services(5)).
fn port(text: &str) -> Option<u16> {
    let number = number(text, 65535).map(|port| port as u16);
    number.or_else(|| service(text)).filter(|port| *port > 0)
}

fn service(name: &str) -> Option<u16> {
    let services = std::fs::read_to_string("/etc/services").ok()?;
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let (service, port) = (words.next()?, words.next()?);
        let port = port.strip_suffix("/tcp")?;
        let is_meant = service == name || words.any(|alias| alias == name);
        is_meant.then(|| port.parse().ok())?
    })
}

fn time(text: &str) -> Result<u32, String> {
    seconds(text).ok_or_else(|| {
        format!("invalid time value `{text}`; it is a number with s, m, h, d or w behind it, as in 1m30s")
    })
}

/// A time: numbers with the units `s`, `m`, `h`, `d` and `w`, in any case, which add up (TIME FORMATS, ssh_config(5)).
///
/// Fractions of seconds, which newer releases read, are cut off.
pub(super) fn seconds(text: &str) -> Option<u32> {
    let mut total: i64 = 0;
    let mut left = text;
    if left.is_empty() {
        return None;
    }
    while !left.is_empty() {
        let digits = left.strip_prefix('+').unwrap_or(left);
        let end = digits
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(digits.len());
        let (whole, mut rest) = digits.split_at(end);
        let mut fraction = "";
        if let Some(behind) = rest.strip_prefix('.') {
            let end = behind.find(|letter: char| !letter.is_ascii_digit());
            (fraction, rest) = behind.split_at(end.unwrap_or(behind.len()));
            if fraction.is_empty() {
                return None;
            }
        }
        let count = match whole {
            "" if !fraction.is_empty() => 0,
            _ => whole.parse::<i64>().ok()?,
        };
        let mut letters = rest.chars();
        let unit = match letters.next().map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some(_) if !fraction.is_empty() => return None,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 24 * 3600,
            Some('w') => 7 * 24 * 3600,
            Some(_) => return None,
        };
        total = total.checked_add(count.checked_mul(unit)?)?;
        left = letters.as_str();
    }
    (total <= INT_MAX).then(|| u32::try_from(total).ok())?
}

/// A number of bytes with a unit (`B`, `K`, `M`, `G`, `T`, `P`, `E` in any case, powers of 1024), and perhaps a fraction
/// (`scan_scaled` of OpenBSD's libutil).
fn scaled(text: &str) -> Option<u64> {
    let text =
        text.trim_start_matches(|letter: char| letter.is_ascii_whitespace() || letter == '\u{b}');
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.contains('.') || whole.len() > 18 {
        return None;
    }
    let whole: u64 = match whole {
        "" => 0,
        whole => whole.parse().ok()?,
    };
    let mut letters = unit.chars();
    let Some(letter) = letters.next() else {
        return Some(whole);
    };
    let power = "BKMGTPE".find(letter.to_ascii_uppercase())?;
    if letters
        .next()
        .is_some_and(|next| next.is_ascii_alphanumeric())
    {
        return None;
    }
    let factor = 1_u64 << (10 * power);
    let fraction = &fraction[..fraction.len().min(17)];
    let part = match fraction.parse::<u128>() {
        Ok(part) => part * u128::from(factor) / 10_u128.pow(fraction.len() as u32),
        Err(_) => 0,
    };
    let bytes = u128::from(whole) * u128::from(factor) + part;
    i64::try_from(bytes).ok().map(|bytes| bytes as u64)
}

/// A domain in lower case, without a dot at its end (`valid_domain` of OpenSSH's `misc.c`).
fn domain(text: &str) -> Result<String, String> {
    let name = text.to_ascii_lowercase();
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
    if !starts_well {
        return Err(format!(
            "domain name \"{text}\" starts with invalid character"
        ));
    }
    if name.contains("..") {
        return Err(format!(
            "domain name \"{text}\" contains consecutive separators"
        ));
    }
    let is_fit = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
    if !name.chars().all(is_fit) {
        return Err(format!(
            "domain name \"{text}\" contains invalid characters"
        ));
    }
    Ok(name.strip_suffix('.').unwrap_or(&name).to_owned())
}

/// `source:target`, or `*` and `none` alone; in lower case.
fn cname_rule(rule: &str) -> Result<(String, String), String> {
    if rule.eq_ignore_ascii_case("none") {
        return Ok((rule.to_owned(), String::new()));
    }
    if rule == "*" {
        return Ok(("*".into(), "*".into()));
    }
    match rule.to_ascii_lowercase().split_once(':') {
        Some((source, target)) if !target.is_empty() => Ok((source.to_owned(), target.to_owned())),
        _ => Err(format!("Invalid permitted CNAME \"{rule}\"")),
    }
}

fn check_agent(text: &str, environment: tokens::Environment<'_>) -> Result<(), String> {
    tokens::expand(text, Some(environment), None)
        .map_err(|error| format!("Invalid environment expansion {text}: {error}"))?;
    match text.strip_prefix('$') {
        Some(name) if !name.starts_with('{') && !is_variable_name(name) => {
            Err(format!("Invalid environment name {text}"))
        }
        _ => Ok(()),
    }
}

fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
