//! The keywords of ssh_config(5): what each takes as a value, and what is done about it.

use super::algorithms::Family;

/// What stands behind a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of a few words in any case, and the word that `ssh -G` prints for it.
    Choice(&'static [(&'static str, &'static str)]),
    /// A time (TIME FORMATS), or `none`, which leaves the keyword unset.
    Time,
    /// A number from 0 to 2147483647.
    Integer,
    /// A TCP port, or the name of a service.
    Port,
    /// One argument.
    Text,
    /// One argument for each line; the lines add up.
    Lines,
    /// One path or more, or `none` alone; so many at most.
    Paths(usize),
    /// The rest of the line, for a shell.
    Command,
    /// Names of algorithms, with the modifiers `+`, `-` and `^`.
    Algorithms(Family),
    /// A kind of its own.
    Jump,
    Rekey,
    SendEnv,
    SetEnv,
    Domains,
    Cnames,
    Agent,
    /// Arguments that are not looked at, because the keyword has no effect here.
    Any,
    /// A keyword that OpenSSH passes over too.
    Deprecated,
}

/// What becomes of a keyword here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Support {
    /// It takes effect.
    Honoured,
    /// It is about a terminal, a log or a forwarding that `ssh` has and we do not: passed over without a word.
    Quiet,
    /// It changes what a connection does, and we do not do it: the user is told.
    Unsupported,
}

struct Row {
    spelling: &'static str,
    kind: Kind,
    support: Support,
}

macro_rules! keywords {
    ($($keyword:ident $kind:expr, $support:ident;)*) => {
        /// A keyword, named as ssh_config(5) spells it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(super) enum Keyword {
            $($keyword,)*
        }

        impl Keyword {
            const ALL: &[Self] = &[$(Self::$keyword),*];
        }

        const ROWS: &[Row] = &[
            $(Row { spelling: stringify!($keyword), kind: $kind, support: Support::$support },)*
        ];
    };
}

keywords! {
    AddKeysToAgent Kind::Any, Unsupported;
    AddressFamily Kind::Choice(ADDRESS_FAMILY), Honoured;
    BatchMode Kind::Choice(FLAG), Honoured;
    BindAddress Kind::Text, Honoured;
    BindInterface Kind::Text, Honoured;
    CASignatureAlgorithms Kind::Algorithms(Family::CaSignatures), Honoured;
    CanonicalDomains Kind::Domains, Honoured;
    CanonicalizeFallbackLocal Kind::Choice(FLAG), Honoured;
    CanonicalizeHostname Kind::Choice(CANONICALIZE), Honoured;
    CanonicalizeMaxDots Kind::Integer, Honoured;
    CanonicalizePermittedCNAMEs Kind::Cnames, Honoured;
    CertificateFile Kind::Lines, Honoured;
    ChannelTimeout Kind::Any, Unsupported;
    CheckHostIP Kind::Choice(FLAG), Unsupported;
    Ciphers Kind::Algorithms(Family::Ciphers), Honoured;
    ClearAllForwardings Kind::Choice(FLAG), Quiet;
    Compression Kind::Choice(COMPRESSION), Honoured;
    ConnectTimeout Kind::Time, Honoured;
    ConnectionAttempts Kind::Integer, Honoured;
    ControlMaster Kind::Choice(CONTROL_MASTER), Unsupported;
    ControlPath Kind::Text, Unsupported;
    ControlPersist Kind::Any, Quiet;
    DynamicForward Kind::Any, Unsupported;
    EnableEscapeCommandline Kind::Choice(FLAG), Quiet;
    EnableSSHKeysign Kind::Choice(FLAG), Quiet;
    EscapeChar Kind::Any, Quiet;
    ExitOnForwardFailure Kind::Choice(FLAG), Quiet;
    FingerprintHash Kind::Choice(FINGERPRINT_HASH), Quiet;
    ForkAfterAuthentication Kind::Choice(FLAG), Quiet;
    ForwardAgent Kind::Any, Unsupported;
    ForwardX11 Kind::Choice(FLAG), Unsupported;
    ForwardX11Timeout Kind::Time, Quiet;
    ForwardX11Trusted Kind::Choice(FLAG), Quiet;
    GSSAPIAuthentication Kind::Choice(FLAG), Unsupported;
    GSSAPIDelegateCredentials Kind::Choice(FLAG), Quiet;
    GatewayPorts Kind::Choice(FLAG), Quiet;
    GlobalKnownHostsFile Kind::Paths(32), Honoured;
    HashKnownHosts Kind::Choice(FLAG), Honoured;
    HostKeyAlgorithms Kind::Algorithms(Family::Keys), Honoured;
    HostKeyAlias Kind::Text, Honoured;
    HostbasedAcceptedAlgorithms Kind::Algorithms(Family::Keys), Quiet;
    HostbasedAuthentication Kind::Choice(FLAG), Unsupported;
    Hostname Kind::Text, Honoured;
    IPQoS Kind::Any, Unsupported;
    IdentitiesOnly Kind::Choice(FLAG), Honoured;
    IdentityAgent Kind::Agent, Honoured;
    IdentityFile Kind::Lines, Honoured;
    IgnoreUnknown Kind::Text, Honoured;
    KbdInteractiveAuthentication Kind::Choice(FLAG), Honoured;
    KbdInteractiveDevices Kind::Text, Quiet;
    KexAlgorithms Kind::Algorithms(Family::Kex), Honoured;
    KnownHostsCommand Kind::Command, Honoured;
    LocalCommand Kind::Command, Unsupported;
    LocalForward Kind::Any, Unsupported;
    LogLevel Kind::Choice(LOG_LEVEL), Quiet;
    LogVerbose Kind::Any, Quiet;
    MACs Kind::Algorithms(Family::Macs), Honoured;
    NoHostAuthenticationForLocalhost Kind::Choice(FLAG), Honoured;
    NumberOfPasswordPrompts Kind::Integer, Honoured;
    ObscureKeystrokeTiming Kind::Any, Quiet;
    PKCS11Provider Kind::Text, Unsupported;
    PasswordAuthentication Kind::Choice(FLAG), Honoured;
    PermitLocalCommand Kind::Choice(FLAG), Quiet;
    PermitRemoteOpen Kind::Any, Quiet;
    Port Kind::Port, Honoured;
    PreferredAuthentications Kind::Text, Honoured;
    ProxyCommand Kind::Command, Honoured;
    ProxyJump Kind::Jump, Honoured;
    ProxyUseFdpass Kind::Choice(FLAG), Unsupported;
    PubkeyAcceptedAlgorithms Kind::Algorithms(Family::Keys), Honoured;
    PubkeyAuthentication Kind::Choice(PUBKEY), Honoured;
    RefuseConnection Kind::Text, Honoured;
    RekeyLimit Kind::Rekey, Honoured;
    RemoteCommand Kind::Command, Unsupported;
    RemoteForward Kind::Any, Unsupported;
    RequestTTY Kind::Choice(REQUEST_TTY), Honoured;
    RequiredRSASize Kind::Integer, Honoured;
    RevokedHostKeys Kind::Paths(usize::MAX), Honoured;
    SecurityKeyProvider Kind::Text, Unsupported;
    SendEnv Kind::SendEnv, Honoured;
    ServerAliveCountMax Kind::Integer, Honoured;
    ServerAliveInterval Kind::Time, Honoured;
    SessionType Kind::Choice(SESSION_TYPE), Unsupported;
    SetEnv Kind::SetEnv, Honoured;
    StdinNull Kind::Choice(FLAG), Quiet;
    StreamLocalBindMask Kind::Any, Quiet;
    StreamLocalBindUnlink Kind::Choice(FLAG), Quiet;
    StrictHostKeyChecking Kind::Choice(STRICT_HOST_KEY), Honoured;
    SyslogFacility Kind::Any, Quiet;
    TCPKeepAlive Kind::Choice(FLAG), Honoured;
    Tag Kind::Text, Honoured;
    Tunnel Kind::Choice(TUNNEL), Unsupported;
    TunnelDevice Kind::Any, Quiet;
    UpdateHostKeys Kind::Choice(ASK), Honoured;
    User Kind::Text, Honoured;
    UserKnownHostsFile Kind::Paths(32), Honoured;
    VerifyHostKeyDNS Kind::Choice(ASK), Unsupported;
    VersionAddendum Kind::Any, Unsupported;
    VisualHostKey Kind::Choice(FLAG), Quiet;
    WarnWeakCrypto Kind::Choice(WEAK_CRYPTO), Quiet;
    XAuthLocation Kind::Text, Quiet;
    // Written `RekeyLimit`, whose two arguments are set independently.
    RekeyInterval Kind::Any, Honoured;
    // What no keyword of its own stands for.
    GssapiExtension Kind::Any, Quiet;
    Deprecated Kind::Deprecated, Quiet;
}

/// Second names, in lower case.
const ALIASES: &[(&str, Keyword)] = &[
    (
        "challengeresponseauthentication",
        Keyword::KbdInteractiveAuthentication,
    ),
    ("skeyauthentication", Keyword::KbdInteractiveAuthentication),
    ("tisauthentication", Keyword::KbdInteractiveAuthentication),
    ("dsaauthentication", Keyword::PubkeyAuthentication),
    ("hostbasedkeytypes", Keyword::HostbasedAcceptedAlgorithms),
    ("identityfile2", Keyword::IdentityFile),
    ("keepalive", Keyword::TCPKeepAlive),
    ("pubkeyacceptedkeytypes", Keyword::PubkeyAcceptedAlgorithms),
    ("smartcarddevice", Keyword::PKCS11Provider),
    // Of the key exchange patch that Debian, Fedora and others apply; Debian's last two are about timeouts.
    ("gssapiclientidentity", Keyword::GssapiExtension),
    ("gssapikexalgorithms", Keyword::GssapiExtension),
    ("gssapikeyexchange", Keyword::GssapiExtension),
    ("gssapirenewalforcesrekey", Keyword::GssapiExtension),
    ("gssapiserveridentity", Keyword::GssapiExtension),
    ("gssapitrustdns", Keyword::GssapiExtension),
    ("protocolkeepalives", Keyword::GssapiExtension),
    ("setuptimeout", Keyword::GssapiExtension),
    // What earlier releases knew.
    ("afstokenpassing", Keyword::Deprecated),
    ("cipher", Keyword::Deprecated),
    ("compressionlevel", Keyword::Deprecated),
    ("fallbacktorsh", Keyword::Deprecated),
    ("globalknownhostsfile2", Keyword::Deprecated),
    ("kerberosauthentication", Keyword::Deprecated),
    ("kerberostgtpassing", Keyword::Deprecated),
    ("protocol", Keyword::Deprecated),
    ("rhostsauthentication", Keyword::Deprecated),
    ("rhostsrsaauthentication", Keyword::Deprecated),
    ("rsaauthentication", Keyword::Deprecated),
    ("useprivilegedport", Keyword::Deprecated),
    ("userknownhostsfile2", Keyword::Deprecated),
    ("useroaming", Keyword::Deprecated),
    ("usersh", Keyword::Deprecated),
    ("zeroknowledgepasswordauthentication", Keyword::Deprecated),
];

/// Keywords with a name of their own; those after it stand for several names, or for a part of a value.
const LAST_NAMED: Keyword = Keyword::XAuthLocation;

impl Keyword {
    /// How many there are.
    pub(super) const COUNT: usize = Self::ALL.len();

    /// The keyword with this name, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        let named = Self::ALL
            .iter()
            .take_while(|keyword| **keyword <= LAST_NAMED);
        named
            .copied()
            .find(|keyword| keyword.spelling().eq_ignore_ascii_case(name))
            .or_else(|| {
                let mut aliases = ALIASES.iter();
                let alias = aliases.find(|(alias, _)| alias.eq_ignore_ascii_case(name))?;
                Some(alias.1)
            })
    }

    /// The names that a user may have meant.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        let named = Self::ALL
            .iter()
            .take_while(|keyword| **keyword <= LAST_NAMED);
        named
            .map(|keyword| keyword.spelling())
            .chain(["Host", "Match", "Include"])
    }

    /// The name as ssh_config(5) spells it.
    pub(super) fn spelling(self) -> &'static str {
        ROWS[self as usize].spelling
    }

    /// What it takes.
    pub(super) fn kind(self) -> Kind {
        ROWS[self as usize].kind
    }

    /// What becomes of it.
    pub(super) fn support(self) -> Support {
        ROWS[self as usize].support
    }
}

type Choices = &'static [(&'static str, &'static str)];

const FLAG: Choices = &[
    ("yes", "yes"),
    ("true", "yes"),
    ("no", "no"),
    ("false", "no"),
];
const ASK: Choices = &[
    ("yes", "true"),
    ("true", "true"),
    ("no", "false"),
    ("false", "false"),
    ("ask", "ask"),
];
const ADDRESS_FAMILY: Choices = &[("any", "any"), ("inet", "inet"), ("inet6", "inet6")];
const CANONICALIZE: Choices = &[
    ("yes", "true"),
    ("true", "true"),
    ("no", "false"),
    ("false", "false"),
    ("always", "always"),
];
const COMPRESSION: Choices = &[("yes", "yes"), ("no", "no")];
const CONTROL_MASTER: Choices = &[
    ("yes", "true"),
    ("true", "true"),
    ("no", "false"),
    ("false", "false"),
    ("auto", "auto"),
    ("ask", "ask"),
    ("autoask", "autoask"),
];
const FINGERPRINT_HASH: Choices = &[
    ("md5", "MD5"),
    ("sha1", "SHA1"),
    ("sha256", "SHA256"),
    ("sha384", "SHA384"),
    ("sha512", "SHA512"),
];
const LOG_LEVEL: Choices = &[
    ("quiet", "QUIET"),
    // Debian's.
    ("silent", "QUIET"),
    ("fatal", "FATAL"),
    ("error", "ERROR"),
    ("info", "INFO"),
    ("verbose", "VERBOSE"),
    ("debug", "DEBUG"),
    ("debug1", "DEBUG"),
    ("debug2", "DEBUG2"),
    ("debug3", "DEBUG3"),
];
const PUBKEY: Choices = &[
    ("yes", "true"),
    ("true", "true"),
    ("no", "false"),
    ("false", "false"),
    ("unbound", "unbound"),
    ("host-bound", "host-bound"),
];
const REQUEST_TTY: Choices = &[
    ("yes", "true"),
    ("true", "true"),
    ("no", "false"),
    ("false", "false"),
    ("force", "force"),
    ("auto", "auto"),
];
const SESSION_TYPE: Choices = &[
    ("default", "default"),
    ("none", "none"),
    ("subsystem", "subsystem"),
];
const STRICT_HOST_KEY: Choices = &[
    ("yes", "true"),
    ("true", "true"),
    ("no", "false"),
    ("false", "false"),
    ("off", "false"),
    ("ask", "ask"),
    ("accept-new", "accept-new"),
];
const TUNNEL: Choices = &[
    ("yes", "point-to-point"),
    ("true", "point-to-point"),
    ("no", "false"),
    ("false", "false"),
    ("ethernet", "ethernet"),
    ("point-to-point", "point-to-point"),
];
const WEAK_CRYPTO: Choices = &[
    ("yes", "yes"),
    ("true", "yes"),
    ("no", "no"),
    ("false", "no"),
    ("no-pq-kex", "no"),
];
