//! Configurations made of what ssh_config(5) describes, some of them wrong.

use std::fs;
use std::path::{Path, PathBuf};

use fastrand::Rng;

/// A configuration, and what is asked of it.
pub(crate) struct Case {
    pub(crate) file: PathBuf,
    pub(crate) host: String,
    /// Options of `ssh` in pairs: `-l`, `-p` or `-o`, and its value.
    pub(crate) arguments: Vec<String>,
    files: Vec<(PathBuf, String)>,
}

impl Case {
    /// The case in words, to be tried by hand.
    pub(crate) fn describe(&self) -> String {
        let mut text = format!(
            "ssh -G -F {} {:?} {}\n",
            self.file.display(),
            self.arguments,
            self.host
        );
        for (path, content) in &self.files {
            text += &format!("--- {}\n{content}", path.display());
        }
        text
    }

    /// Whether `ProxyJump none` may stand in it.
    pub(crate) fn has_jump_none(&self) -> bool {
        let texts = self.files.iter().map(|(_, content)| content);
        texts.chain(&self.arguments).any(|text| {
            let text = text.to_ascii_lowercase();
            text.contains("proxyjump") && text.contains("none")
        })
    }
}

/// Makes a case; its files are in a folder of its own until the next one is made there.
pub(crate) struct Generator<'a> {
    random: Rng,
    folder: &'a Path,
    files: Vec<(PathBuf, String)>,
    /// Whether there are jump hosts; else there is `%C`, which later releases compute with them.
    has_jumps: bool,
}

const HOSTS: &[&str] = &[
    "web1",
    "web2",
    "db1",
    "Web1",
    "WEB2",
    "web1.example.org",
    "a.b.c",
    "10.0.0.1",
    "127.1",
    "0x7f.1",
    "0X7f000001",
    "::1",
    "0:0::0:1",
    "x_y",
    "db1.example.org",
    "fe80::1%lo",
    "2001:DB8::1",
    "1",
    "web1.",
    "::1.2.3.4",
    "::1:0",
    "::ffff:1.2.3.4",
    "::FFFF:0102:0304",
    "::ffff:1.2.3.4%1",
    "FE80::1%1",
    "fe80::1%0",
    "fe80::1%no-such",
    "fe80::1%4000",
    "::1%1",
    "::1%lo",
    "ff02::1%01",
    "1.2.3.4%1",
    "1.2.3.4.",
    "1.2.3.4.5",
    "127.0.0.0x1",
    "08.1",
    "4294967296",
    "",
];
const PATTERNS: &[&str] = &[
    "*",
    "web*",
    "web?",
    "web1",
    "db1",
    "!web1",
    "!db*",
    "!*",
    "*.example.org",
    "w*1",
    "Web*",
    "web1.example.org",
    "10.*",
    "?",
    "**",
    "*1*",
    "::1",
    "db?",
    "!web2",
    "a",
    "web1.*",
];
const USERS: &[&str] = &["root", "deploy", "ops", "a.b", "Deploy", "x"];
const FLAGS: &[&str] = &[
    "BatchMode",
    "CanonicalizeFallbackLocal",
    "CheckHostIP",
    "EnableSSHKeysign",
    "ClearAllForwardings",
    "ExitOnForwardFailure",
    "ForwardX11",
    "GatewayPorts",
    "GSSAPIAuthentication",
    "GSSAPIDelegateCredentials",
    "HashKnownHosts",
    "HostbasedAuthentication",
    "IdentitiesOnly",
    "KbdInteractiveAuthentication",
    "ChallengeResponseAuthentication",
    "NoHostAuthenticationForLocalhost",
    "PasswordAuthentication",
    "PermitLocalCommand",
    "StdinNull",
    "StreamLocalBindUnlink",
    "TCPKeepAlive",
    "KeepAlive",
    "VisualHostKey",
    "EnableEscapeCommandline",
    "SkeyAuthentication",
];
const CHOICES: &[(&str, &[&str])] = &[
    ("AddressFamily", &["any", "inet", "inet6", "INET"]),
    ("Compression", &["yes", "no", "true"]),
    (
        "ControlMaster",
        &["yes", "no", "auto", "ask", "autoask", "true"],
    ),
    (
        "PubkeyAuthentication",
        &["yes", "no", "unbound", "host-bound", "true"],
    ),
    ("DSAAuthentication", &["yes", "no"]),
    ("RequestTTY", &["yes", "no", "force", "auto", "false"]),
    ("SessionType", &["none", "subsystem", "default", "None"]),
    (
        "StrictHostKeyChecking",
        &["yes", "no", "ask", "off", "accept-new", "true"],
    ),
    ("Tunnel", &["yes", "no", "ethernet", "point-to-point"]),
    ("VerifyHostKeyDNS", &["yes", "no", "ask"]),
    ("UpdateHostKeys", &["yes", "no", "ask", "false"]),
    (
        "LogLevel",
        &[
            "FATAL", "error", "INFO", "verbose", "debug", "DEBUG1", "debug2", "DEBUG3",
        ],
    ),
    ("FingerprintHash", &["md5", "sha256", "SHA512", "sha1"]),
    ("CanonicalizeHostname", &["no", "false", "No"]),
];
const NUMBERS: &[&str] = &[
    "CanonicalizeMaxDots",
    "ConnectionAttempts",
    "NumberOfPasswordPrompts",
    "ServerAliveCountMax",
    "RequiredRSASize",
];
const TIMES: &[&str] = &["ConnectTimeout", "ServerAliveInterval", "ForwardX11Timeout"];
const TEXTS: &[(&str, &[&str])] = &[
    ("BindAddress", &["127.0.0.1", "::1", "host"]),
    ("BindInterface", &["lo", "eth0"]),
    ("HostKeyAlias", &["alias", "Alias.Example", "%h"]),
    ("KbdInteractiveDevices", &["pam", "bsdauth,pam"]),
    (
        "PreferredAuthentications",
        &["publickey", "publickey,password", "none"],
    ),
    ("XAuthLocation", &["/bin/xauth", "none"]),
    ("PKCS11Provider", &["/lib/p.so", "none"]),
    (
        "SecurityKeyProvider",
        &["/lib/sk.so", "none", "internal", "$SSH_SK"],
    ),
    ("RevokedHostKeys", &["/etc/revoked", "none"]),
    (
        "IgnoreUnknown",
        &["Nonsense", "nonsense,other*", "Other*,!othera", "*"],
    ),
    ("User", &["root", "deploy", "ops", "a b"]),
];
const COMMANDS: &[&str] = &[
    "none",
    "nc %h %p",
    "nc -X \"%h\" %p # text",
    "sh -c 'x y' %%",
    "  = /bin/true",
    "echo \"a  b\"",
    "NONE",
];
const REMOTE_COMMANDS: &[&str] = &[
    "none",
    "uname -a",
    "echo %h %n %r %p",
    "x %% %u %d %i %l %L %k",
    "echo ${HOME}",
];
const JUMPS: &[&str] = &[
    "none",
    "gate",
    "ops@gate:2222",
    "a,b",
    "a,ops@b,c:22",
    "ssh://ops@gate:22",
    "[::1]:2200",
    "10.0.0.9",
    "u@[fe80::1]",
    "gate # text",
    "NONE",
    "ssh://gate",
    "a,10.1.1.1:23",
    "u@v@gate",
];
const PATHS: &[&str] = &[
    "~/.ssh/id_x",
    "/etc/keys/%r@%h",
    "~/%u/%n_%p",
    "%d/key",
    "relative/key",
    "none",
    "/k/%i%%%L",
    "${HOME}/key",
    "~root/key",
    "\"with space\"",
];
const KNOWN_HOSTS: &[&str] = &[
    "~/.ssh/known_hosts",
    "~/.ssh/kh_%h",
    "/etc/kh",
    "%d/kh",
    "/kh/%k",
    "${HOME}/kh",
    "~root/kh",
    "/kh/%r/%p/%n/%%",
    "kh",
    "~",
    "~/",
    "~//kh",
];
const CIPHERS: &[&str] = &[
    "aes128-ctr",
    "aes256-gcm@openssh.com",
    "3des-cbc",
    "chacha20-poly1305@openssh.com",
    "aes192-cbc",
    "aes256-ctr",
];
const MACS: &[&str] = &[
    "hmac-sha1",
    "hmac-sha2-256",
    "umac-64@openssh.com",
    "hmac-md5-96-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
];
const KEX: &[&str] = &[
    "curve25519-sha256",
    "diffie-hellman-group1-sha1",
    "ecdh-sha2-nistp384",
    "sntrup761x25519-sha512@openssh.com",
    "diffie-hellman-group14-sha1",
    "diffie-hellman-group14-sha256",
];
const KEYS: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "rsa-sha2-512",
    "ecdsa-sha2-nistp256",
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-*",
    "*-cert-*",
    "rsa-sha2-*",
    "ssh-dss",
    "sk-*",
    "RSA",
    "*",
    "webauthn-sk-ecdsa-sha2-nistp256@openssh.com",
];
const WRONG: &[&str] = &[
    "Nonsense yes",
    "NONSENSE x y",
    "OtherA 1",
    "User",
    "User \"\"",
    "User a b",
    "Port 0",
    "Port 65536",
    "Port x",
    "Port -1",
    "BatchMode maybe",
    "ConnectTimeout 1x",
    "ConnectTimeout",
    "ConnectTimeout -1",
    "IdentityFile",
    "Ciphers none-such",
    "Ciphers +",
    "MACs hmac-*",
    "KexAlgorithms x",
    "HostKeyAlgorithms none-such",
    "HostKeyAlgorithms !ssh-rsa",
    "User \"open",
    "User 'open",
    "Host",
    "Host \"\"",
    "Match",
    "Match nonsense x",
    "Match host",
    "Match all host x",
    "Match host a user b all",
    "SetEnv X",
    "SendEnv A=1",
    "UserKnownHostsFile none x",
    "UserKnownHostsFile a \"\"",
    "CanonicalDomains -x",
    "CanonicalDomains a..b",
    "CanonicalDomains none a",
    "CanonicalizePermittedCNAMEs a",
    "RekeyLimit 5",
    "RekeyLimit 1X",
    "RekeyLimit 1G 1h x",
    "RekeyLimit x",
    "ServerAliveCountMax -1",
    "ConnectionAttempts 0",
    "ServerAliveCountMax 99999999999",
    "UserKnownHostsFile %x",
    "UserKnownHostsFile ${CLUSTEROPS_NOT_SET}",
    "UserKnownHostsFile ~no-such-user-here/x",
    "ControlPath %z",
    "IdentityAgent ${CLUSTEROPS_NOT_SET}",
    "IdentityAgent $a-b",
    "Hostname %x",
    "Hostname a b",
    "ProxyJump",
    "ProxyJump :22",
    "ProxyJump a,,b",
    "ProxyJump gate:0",
    "RemoteCommand %z",
    "ProxyCommand \"open",
    "PubkeyAcceptedAlgorithms -",
    "RequiredRSASize x",
    "CASignatureAlgorithms nope",
    "LogLevel loud",
    "Compression 9",
    "AddressFamily inet4",
    "StrictHostKeyChecking always",
    "Match exec %z",
    "Include \"\"",
];
const OTHERS: &[&str] = &[
    "Protocol 2",
    "Cipher blowfish",
    "UseRoaming no",
    "RSAAuthentication yes",
    "CompressionLevel 9 8",
    "UsePrivilegedPort x y",
    "ForwardAgent yes",
    "AddKeysToAgent confirm 5m",
    "ControlPersist 10m",
    "EscapeChar none",
    "IPQoS af21 cs1",
    "LocalForward 8080 web:80",
    "RemoteForward 9090 localhost:90",
    "DynamicForward 1080",
    "TunnelDevice any:any",
    "StreamLocalBindMask 0177",
    "SyslogFacility USER",
    "LogVerbose kex.c:*:*",
    "PermitRemoteOpen any",
    "ForwardX11Trusted yes",
];

impl<'a> Generator<'a> {
    pub(crate) fn new(mut random: Rng, folder: &'a Path) -> Self {
        let has_jumps = random.usize(..3) > 0;
        Self {
            random,
            folder,
            files: Vec::new(),
            has_jumps,
        }
    }

    pub(crate) fn case(mut self) -> Case {
        let file = self.folder.join("config");
        let count = self.random.usize(1..16);
        let text = self.text(count, 0);
        self.files.push((file.clone(), text));
        for (path, text) in &self.files {
            fs::write(path, text).expect("a file in a folder of ours");
        }
        let mut arguments = Vec::new();
        if self.one_in(6) {
            arguments.extend(["-l".to_owned(), self.pick(USERS).to_owned()]);
        }
        if self.one_in(6) {
            arguments.extend(["-p".to_owned(), self.random.u16(1..).to_string()]);
        }
        if self.one_in(8) {
            let option = match self.random.usize(..6) {
                0 => "ProxyJump=none",
                1 => "ConnectTimeout 7",
                2 => "Hostname=%h.other",
                3 => "IgnoreUnknown=Non*",
                4 => "IgnoreUnknown other*,!nonsense",
                _ => "IdentityFile=~/first",
            };
            arguments.extend(["-o".to_owned(), option.to_owned()]);
        }
        Case {
            file,
            host: self.pick(HOSTS).to_owned(),
            arguments,
            files: self.files,
        }
    }

    fn text(&mut self, count: usize, depth: usize) -> String {
        let mut text = String::new();
        for _ in 0..count {
            let line = match self.random.usize(..100) {
                0..16 => self.host_line(),
                16..28 => self.match_line(),
                28..32 if depth < 2 => self.include_line(depth),
                32..34 => self.pick(OTHERS).to_owned(),
                34..36 => (self.pick(&["", "# a comment", "   ", "\t# x", "#"])).to_owned(),
                36 => match self.random.usize(..3) {
                    0 => self.pick(&["Nonsense yes", "OtherA 1"]).to_owned(),
                    _ => self.pick(WRONG).to_owned(),
                },
                _ => self.setting(),
            };
            let indent = self.pick(&["", "", "  ", "\t", " \t "]);
            let end = self.pick(&["\n", "\n", "\n", "\r\n", " \n", " \t\r\n"]);
            text += &format!("{indent}{line}{end}");
        }
        if self.one_in(8) {
            text.truncate(text.trim_end().len());
        }
        text
    }

    fn host_line(&mut self) -> String {
        let count = self.random.usize(1..4);
        let patterns: Vec<String> = (0..count)
            .map(|_| {
                let pattern = self.pick(PATTERNS).to_owned();
                self.quoted(&pattern)
            })
            .collect();
        self.line("Host", &patterns.join(" "), true)
    }

    fn match_line(&mut self) -> String {
        let mut criteria = Vec::new();
        for _ in 0..self.random.usize(1..4) {
            let not = if self.one_in(4) { "!" } else { "" };
            let lists = |generator: &mut Self, from: &[&str]| {
                let count = generator.random.usize(1..4);
                let list: Vec<&str> = (0..count).map(|_| generator.pick(from)).collect();
                match generator.random.usize(..5) {
                    0 => format!("\"{}\"", list.join(",")),
                    _ => list.join(","),
                }
            };
            let between = self.pick(&[" ", " ", "  ", "=", " = ", "\t"]);
            let criterion = match self.random.usize(..12) {
                0..4 => format!("{not}host{between}{}", lists(self, PATTERNS)),
                4..6 => format!("{not}originalhost{between}{}", lists(self, PATTERNS)),
                6..8 => format!(
                    "{not}user{between}{}",
                    lists(self, &["root", "ops", "!root", "dep*", "*"])
                ),
                8 => format!(
                    "{not}localuser{between}{}",
                    lists(self, &["root", "clusterops*", "*", "!root"])
                ),
                9 => "final".to_owned(),
                10 => format!("{not}canonical"),
                _ if self.one_in(3) => {
                    let command = self.pick(&[
                        "true",
                        "\"test x%h = xweb1\"",
                        "false",
                        "\"test %p -gt 100\"",
                        "\"test %r = ops\"",
                    ]);
                    format!("{not}exec {command}")
                }
                _ => format!("{not}HOST {}", lists(self, HOSTS)),
            };
            criteria.push(criterion);
        }
        if self.one_in(10) {
            criteria = vec![(self.pick(&["all", "!all", "canonical all", "final all"])).to_owned()];
        }
        let comment = if self.one_in(8) { " # text" } else { "" };
        format!("{} {}{comment}", self.cased("Match"), criteria.join(" "))
    }

    fn include_line(&mut self, depth: usize) -> String {
        let number = self.files.len();
        let path = self.folder.join(format!("included-{number}-{depth}"));
        // Its place in the list is taken before what it includes in turn.
        self.files.push((path.clone(), String::new()));
        let count = self.random.usize(1..6);
        let text = self.text(count, depth + 1);
        self.files[number].1 = text;
        let path = path.display().to_string();
        let path = match self.random.usize(..5) {
            0 => format!(
                "{}*-{depth}",
                path.trim_end_matches(&format!("{number}-{depth}"))
            ),
            1 => format!("{path} {}/missing*", self.folder.display()),
            2 => format!("\"{path}\""),
            _ => path,
        };
        // A pattern finds files of earlier cases too, which both of us read.
        let path = if path.contains("*-") {
            path.replace(&format!("*-{depth}"), &format!("[{number}]-{depth}"))
        } else {
            path
        };
        self.line("Include", &path, true)
    }

    fn setting(&mut self) -> String {
        let yes_no = ["yes", "no", "true", "false", "YES", "No"];
        match self.random.usize(..30) {
            0..5 => {
                let (keyword, value) = (self.pick(FLAGS), self.pick(&yes_no));
                self.valued(keyword, value)
            }
            5..8 => {
                let (keyword, values) = self.pick(CHOICES);
                let value = self.pick(values);
                self.valued(keyword, value)
            }
            8 => {
                let keyword = self.pick(NUMBERS);
                let number = self.random.u32(1..5000).to_string();
                self.valued(keyword, &number)
            }
            9..11 => {
                let keyword = self.pick(TIMES);
                let time = self.time();
                self.valued(keyword, &time)
            }
            11..14 => {
                let (keyword, values) = self.pick(TEXTS);
                let value = self.pick(values);
                self.valued(keyword, value)
            }
            14 => {
                let value = self.pick(&[
                    "%h",
                    "%h.example.org",
                    "web2",
                    "10.0.0.7",
                    "DB1.Example.Org",
                    "%%x",
                    "::1",
                    "WEB1",
                ]);
                self.valued("Hostname", value)
            }
            15 => {
                let port = self.pick(&["22", "2222", "65535", "ssh", "http", "+80", "1"]);
                self.valued("Port", port)
            }
            16 => {
                let keyword = self.pick(&[
                    "ProxyCommand",
                    "KnownHostsCommand",
                    "LocalCommand",
                    "proxycommand",
                ]);
                let command = self.pick(COMMANDS);
                self.line(keyword, command, false)
            }
            17 => {
                let command = self.pick(REMOTE_COMMANDS);
                self.line("RemoteCommand", command, false)
            }
            18..20 => {
                let jump = if self.has_jumps {
                    self.pick(JUMPS)
                } else {
                    "none"
                };
                self.line("ProxyJump", jump, false)
            }
            20..22 => {
                let keyword = self.pick(&["IdentityFile", "CertificateFile", "IdentityFile2"]);
                let path = self.pick(PATHS);
                self.line(keyword, path, true)
            }
            22 => {
                let keyword = self.pick(&["UserKnownHostsFile", "GlobalKnownHostsFile"]);
                let count = self.random.usize(1..4);
                let files: Vec<&str> = (0..count).map(|_| self.pick(KNOWN_HOSTS)).collect();
                let files = if self.one_in(6) {
                    "none".to_owned()
                } else {
                    files.join(" ")
                };
                self.line(keyword, &files, true)
            }
            23 => {
                let names = ["LANG", "LC_*", "-LC_*", "A", "B", "-*", "TERM", "-A"];
                let count = self.random.usize(1..4);
                let names: Vec<&str> = (0..count).map(|_| self.pick(&names)).collect();
                self.line("SendEnv", &names.join(" "), true)
            }
            24 => {
                let settings = [
                    "A=1",
                    "\"B=two words\"",
                    "A=2",
                    "C=",
                    "D=a=b",
                    "'E=\"'",
                    "F=a\\ b",
                    "G=\\\\x",
                ];
                let count = self.random.usize(1..4);
                let settings: Vec<&str> = (0..count).map(|_| self.pick(&settings)).collect();
                self.line("SetEnv", &settings.join(" "), true)
            }
            25..27 => {
                let (keyword, names) = self.pick(&[
                    ("Ciphers", CIPHERS),
                    ("MACs", MACS),
                    ("KexAlgorithms", KEX),
                    ("HostKeyAlgorithms", KEYS),
                    ("PubkeyAcceptedAlgorithms", KEYS),
                    ("PubkeyAcceptedKeyTypes", KEYS),
                    ("HostbasedAcceptedAlgorithms", KEYS),
                    ("CASignatureAlgorithms", KEYS),
                ]);
                let count = self.random.usize(1..4);
                let list: Vec<&str> = (0..count).map(|_| self.pick(names)).collect();
                let modifier = self.pick(&["", "", "+", "-", "^"]);
                let list = match modifier {
                    "-" if self.one_in(2) => "-*-cbc,aes*,hmac*,*sha1,!*x".to_owned(),
                    _ => format!("{modifier}{}", list.join(",")),
                };
                self.valued(keyword, &list)
            }
            27 => {
                let bytes = self.pick(&[
                    "default", "1G", "512M", "16", "1.5K", "100k", "4T", "0", "2B", ".5M",
                ]);
                let interval = if self.one_in(2) {
                    format!(" {}", self.time())
                } else {
                    String::new()
                };
                self.line("RekeyLimit", &format!("{bytes}{interval}"), true)
            }
            28 => {
                let agent = self.pick(&[
                    "none",
                    "SSH_AUTH_SOCK",
                    "$SSH_AUTH_SOCK",
                    "~/agent",
                    "/run/%u/%i",
                    "${HOME}/agent",
                    "$OTHER_VAR",
                    "%d/a",
                ]);
                self.line("IdentityAgent", agent, true)
            }
            _ => match self.random.usize(..3) {
                0 if self.has_jumps => self.line("ControlPath", "~/.ssh/%L-%r@%h:%p", true),
                0 => self.line("ControlPath", "~/.ssh/%C", true),
                1 => {
                    let domains =
                        self.pick(&["example.org", "Example.Org. other.net", "none", "a_b.c"]);
                    self.line("CanonicalDomains", domains, true)
                }
                // The rules are asked of a resolver unless a proxy is in between.
                _ => self.line("CanonicalizePermittedCNAMEs", "none", true),
            },
        }
    }

    fn time(&mut self) -> String {
        let times = [
            "none",
            "0",
            "5",
            "90s",
            "1m30s",
            "2h",
            "1D",
            "1w2d3h4m5s",
            "10S",
            "1h1h",
            "+5",
        ];
        self.pick(&times).to_owned()
    }

    /// A line with one value, perhaps quoted.
    fn valued(&mut self, keyword: &str, value: &str) -> String {
        let value = if value.contains(' ') {
            format!("\"{value}\"")
        } else {
            self.quoted(value)
        };
        self.line(keyword, &value, true)
    }

    fn line(&mut self, keyword: &str, value: &str, may_comment: bool) -> String {
        let between = self.pick(&[" ", " ", " ", "  ", "\t", "=", " = ", "= ", " ="]);
        let comment = if may_comment && self.one_in(12) {
            " # text \"x\""
        } else {
            ""
        };
        format!("{}{between}{value}{comment}", self.cased(keyword))
    }

    fn quoted(&mut self, word: &str) -> String {
        match self.random.usize(..12) {
            0 => format!("\"{word}\""),
            1 => format!("'{word}'"),
            2 if word.len() > 1 && word.is_ascii() => format!("{}\"{}\"", &word[..1], &word[1..]),
            _ => word.to_owned(),
        }
    }

    fn cased(&mut self, keyword: &str) -> String {
        match self.random.usize(..6) {
            0 => keyword.to_ascii_uppercase(),
            1 => keyword.to_ascii_lowercase(),
            // Behind a quote a `=` is a word, and later releases take several of these.
            2 if self.one_in(4) && keyword != "RevokedHostKeys" => format!("\"{keyword}\" "),
            _ => keyword.to_owned(),
        }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.random.usize(..from.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.random.usize(..count) == 0
    }
}
