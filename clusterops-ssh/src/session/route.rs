//! The way to a host: directly, through jump hosts, or through a command.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use clusterops_core::{JumpHost, JumpHosts, Target};

use super::SessionOptions;
use super::settings::{Environment, Route, Settings, Terms};
use crate::config::{Config, HostConfig, Proxy, Query};
use crate::{Error, ErrorKind, LOG, Result};

/// Decides how targets are reached. The jump hosts on their ways are decided once.
#[derive(Debug)]
pub(super) struct Router {
    options: SessionOptions,
    environment: Environment,
    /// The user's and the system's files, read when the first host is decided about.
    config: OnceLock<Result<Arc<Config>>>,
    /// Whether the configuration can block.
    may_block: OnceLock<bool>,
    routes: Mutex<HashMap<JumpHosts, Route>>,
    common: Mutex<Vec<Common>>,
}

/// What was decided for a target of which the configuration says nothing special, and holds for all others like it.
#[derive(Debug)]
struct Common {
    user: Option<String>,
    port: Option<u16>,
    identity_file: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
    jump: Option<JumpHosts>,
    terms: Arc<Terms>,
}

/// Commands of the user's on this machine that connections to targets need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LocalCommands {
    /// How many of the targets one leads to (ProxyCommand), each by one of its own.
    pub(crate) lead_to: usize,
    /// How many of the jump hosts before other targets one leads to.
    pub(crate) lead_to_jump_hosts: usize,
    /// Whether one may print their host keys (KnownHostsCommand).
    pub(crate) print_host_keys: bool,
}

/// How many kinds of targets are remembered.
const REMEMBERED: usize = 16;

/// How many jump hosts may lie behind each other by what the configuration says of each.
const DEPTH: usize = 16;

/// Stands for the commands of a session, which are not known before it connects: of `Match sessiontype` it is an `exec`,
/// of `Match command` it matches only what takes any.
const SOME_COMMAND: &str = "\u{fffd}";

impl Router {
    pub(super) fn new(options: SessionOptions, environment: Environment) -> Self {
        Self {
            options,
            environment,
            config: OnceLock::new(),
            may_block: OnceLock::new(),
            routes: Mutex::default(),
            common: Mutex::default(),
        }
    }

    pub(super) fn options(&self) -> &SessionOptions {
        &self.options
    }

    /// Everything that is needed to connect to a target. This can block; see [`Config::resolve`].
    ///
    /// # Errors
    /// As [`Config::load`] and [`Config::resolve`].
    pub(super) fn settings(&self, target: &Target) -> Result<Settings> {
        if let Some(settings) = self.common_settings(target) {
            return Ok(settings);
        }
        let settings = self.own_settings(target)?;
        self.remember(target, &settings);
        Ok(settings)
    }

    /// The settings of a target like one that was decided about before.
    fn common_settings(&self, target: &Target) -> Option<Settings> {
        let known = self.common();
        let known = known.iter().find(|known| known.is_of(target))?;
        let config = self.config.get()?.as_ref().ok()?;
        Some(Settings {
            name: target.name.clone(),
            address: config.common(&target.address, known.terms.tcp.family)?,
            terms: Arc::clone(&known.terms),
        })
    }

    fn remember(&self, target: &Target, settings: &Settings) {
        // Its tokens may stand for the host.
        let is_filled_in =
            target.jump.is_none() && matches!(self.options.proxy, Some(Proxy::Command(_)));
        let config = self.config.get().and_then(|config| config.as_ref().ok());
        let is_common = config.is_some_and(|config| {
            let name = config.common(&target.address, settings.tcp.family);
            name.as_ref() == Some(&settings.address)
        });
        let mut common = self.common();
        let is_new = common.len() < REMEMBERED && !common.iter().any(|known| known.is_of(target));
        if is_common && !is_filled_in && is_new {
            common.push(Common {
                user: target.user.clone(),
                port: target.port,
                identity_file: target.identity_file.clone(),
                known_hosts: target.known_hosts.clone(),
                jump: target.jump.clone(),
                terms: Arc::clone(&settings.terms),
            });
        }
    }

    fn common(&self) -> MutexGuard<'_, Vec<Common>> {
        self.common.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn own_settings(&self, target: &Target) -> Result<Settings> {
        // The target says first how it is reached, then the options, then the configuration.
        let chosen = match (&target.jump, &self.options.proxy) {
            (Some(hosts), _) => Some(Proxy::Jump(hosts.clone())),
            (None, chosen) => chosen.clone(),
        };
        let query = Query::new(&target.address).command(SOME_COMMAND);
        let host = self.host(query, target, chosen.as_ref())?;
        let settings = self.decide(target, &host)?;
        let route = match (chosen, host.proxy) {
            (Some(Proxy::Jump(hosts)), _) | (None, Proxy::Jump(hosts)) => {
                self.through(&hosts, DEPTH)?
            }
            // A command that the options choose went through the configuration, which filled its tokens in.
            (Some(Proxy::Command(_)) | None, Proxy::Command(command)) => Route::Command(command),
            (_, Proxy::Direct) | (Some(_), _) => Route::Direct,
        };
        Ok(settings.by(route))
    }

    /// Which commands connections to these targets need, by a configuration that was read. Where it asks others than the
    /// memory, every target that a command may lead to counts.
    pub(super) fn local_commands(&self, targets: &[Target]) -> LocalCommands {
        let Some(Ok(config)) = self.config.get() else {
            return LocalCommands::default();
        };
        let leads_to = |target: &Target| match &self.options.proxy {
            _ if target.jump.is_some() => false,
            Some(Proxy::Command(command)) => !command.eq_ignore_ascii_case("none"),
            Some(_) => false,
            None if !config.has_proxy_command() => false,
            None if self.may_block() => true,
            None => {
                let settings = self.settings(target);
                settings.is_ok_and(|settings| matches!(settings.route, Route::Command(_)))
            }
        };
        LocalCommands {
            lead_to: targets.iter().filter(|target| leads_to(target)).count(),
            lead_to_jump_hosts: match config.has_proxy_command() {
                true => self.led_jump_hosts(targets),
                false => 0,
            },
            print_host_keys: config.has_known_hosts_command(),
        }
    }

    /// How many jump hosts a command leads to, of those that are connected to first.
    fn led_jump_hosts(&self, targets: &[Target]) -> usize {
        if self.may_block() {
            let chosen = match &self.options.proxy {
                Some(Proxy::Jump(hosts)) => Some(hosts),
                _ => None,
            };
            let jumps = targets
                .iter()
                .filter_map(|target| target.jump.as_ref().or(chosen));
            return jumps.collect::<HashSet<_>>().len();
        }
        let mut led = HashSet::new();
        for target in targets {
            let mut first = match self.settings(target).map(|settings| settings.route.clone()) {
                Ok(Route::Jump(last)) => last,
                _ => continue,
            };
            while let Route::Jump(before) = &first.route {
                first = Arc::clone(before);
            }
            if let Route::Command(_) = first.route {
                led.insert(first);
            }
        }
        led.len()
    }

    /// Reads the configuration, unless that was done. This can block.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(super) fn read(&self) -> Result<()> {
        self.config().map(|_| ())
    }

    /// Whether the configuration was read.
    pub(super) fn is_read(&self) -> bool {
        self.config.get().is_some()
    }

    /// Whether [`settings`](Self::settings) can block: what it needs is not read yet, or asks others than the memory.
    pub(super) fn may_block(&self) -> bool {
        match self.config.get() {
            Some(Ok(config)) => *self.may_block.get_or_init(|| config.may_block()),
            Some(Err(_)) => false,
            None => true,
        }
    }

    /// What the user should know about the configuration, once it was read.
    pub(super) fn warnings(&self) -> Vec<String> {
        match self.config.get() {
            Some(Ok(config)) => unsupported(config).collect(),
            _ => Vec::new(),
        }
    }

    fn config(&self) -> Result<&Config> {
        let config = self.config.get_or_init(|| {
            let config = match &self.options.config {
                Some(config) => Arc::clone(config),
                None => Arc::new(Config::load()?),
            };
            for warning in unsupported(&config) {
                log::warn!(target: LOG, "{warning}");
            }
            Ok(config)
        });
        config.as_deref().map_err(Error::again)
    }

    /// What the configuration says of a target.
    fn host(
        &self,
        mut query: Query,
        target: &Target,
        chosen: Option<&Proxy>,
    ) -> Result<HostConfig> {
        if let Some(user) = target.user.as_ref().or(self.options.user.as_ref()) {
            query = query.user(user);
        }
        if let Some(port) = target.port {
            query = query.port(port);
        }
        match chosen {
            Some(Proxy::Command(command)) => {
                query = query.option(&format!("ProxyCommand={command}"))?;
            }
            // What leads there in its place is not the configuration's matter.
            Some(_) => query = query.option("ProxyCommand=none")?,
            None => {}
        }
        self.config()?.resolve(&query)
    }

    /// What the target and the options leave open is as the configuration says.
    fn decide(&self, target: &Target, host: &HostConfig) -> Result<Settings> {
        let home = self.config()?.home();
        Ok(Settings::resolve(
            target,
            &self.options,
            host,
            &self.environment,
            home,
        ))
    }

    /// The route through these jump hosts.
    fn through(&self, hosts: &JumpHosts, depth: usize) -> Result<Route> {
        let routes = || self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes().get(hosts) {
            return Ok(route.clone());
        }
        let mut before = None;
        for host in hosts.hosts() {
            before = Some(Route::Jump(Arc::new(self.jump_host(host, before, depth)?)));
        }
        let route = before.unwrap_or(Route::Direct);
        routes().insert(hosts.clone(), route.clone());
        Ok(route)
    }

    /// A jump host is decided upon as any host, but for the way to it: the options' is for targets only, and the
    /// configuration's counts for the first jump host.
    fn jump_host(&self, host: &JumpHost, before: Option<Route>, depth: usize) -> Result<Settings> {
        let target = Target {
            port: host.port(),
            user: host.user().map(Into::into),
            ..Target::new(host.host(), host.host())
        };
        let nothing = Proxy::Direct;
        // As by `ssh -W`, no command runs there.
        let query = Query::new(&target.address).option("SessionType=none")?;
        let found = self.host(query, &target, before.as_ref().map(|_| &nothing))?;
        let mut settings = self.decide(&target, &found)?;
        // The same however it was written, so that its connection is shared; with the port where that tells hosts apart.
        settings.name = match settings.port {
            22 => settings.address.clone(),
            _ => settings.endpoint(),
        };
        let route = match (before, found.proxy) {
            (Some(before), _) => before,
            (None, Proxy::Direct) => Route::Direct,
            (None, Proxy::Command(command)) => Route::Command(command),
            (None, Proxy::Jump(hosts)) => match depth.checked_sub(1) {
                Some(depth) => self.through(&hosts, depth)?,
                None => {
                    let message = format!(
                        "the configuration leads to the jump host {host} through others without end (ProxyJump)"
                    );
                    return Err(Error::new(ErrorKind::Local, message));
                }
            },
        };
        Ok(settings.by(route))
    }
}

/// What has no effect of a configuration, in sentences.
fn unsupported(config: &Config) -> impl Iterator<Item = String> {
    let told = config.unsupported().iter();
    let told = told.filter(|told| !told.is_distribution_default());
    told.map(ToString::to_string)
}

impl Common {
    fn is_of(&self, target: &Target) -> bool {
        self.user == target.user
            && self.port == target.port
            && self.identity_file == target.identity_file
            && self.known_hosts == target.known_hosts
            && self.jump == target.jump
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(options: SessionOptions) -> Router {
        configured(options, "")
    }

    fn configured(options: SessionOptions, config: &str) -> Router {
        let config = Config::parse(config, "test").expect("a configuration");
        Router::new(options.config(config), Environment::find())
    }

    fn through(jump: &str) -> Target {
        Target {
            jump: Some(jump.parse().expect(jump)),
            ..Target::new("web1", "10.0.0.1")
        }
    }

    /// The jump hosts, the last first.
    fn hops(settings: &Settings) -> Vec<&Arc<Settings>> {
        let mut hops = Vec::new();
        let mut route = &settings.route;
        while let Route::Jump(hop) = route {
            hops.push(hop);
            route = &hop.route;
        }
        assert_eq!(route, &Route::Direct);
        hops
    }

    #[test]
    fn jump_hosts_have_settings_of_their_own() {
        let options = SessionOptions::default()
            .known_hosts(["/known"])
            .jump("other".parse().expect("a host"));
        let router = router(options);
        let target = Target {
            user: Some("root".into()),
            identity_file: Some("/key".into()),
            ..through("ops@gate:2222,[::1]")
        };
        let settings = router.settings(&target).expect("all is known");
        let hops = hops(&settings);
        let shown = |hop: &Settings| (hop.name.clone(), hop.user.clone(), hop.endpoint());
        let me = hops[0].user.clone();
        assert_eq!(shown(hops[0]), ("::1".into(), me, "[::1]:22".into()));
        assert_eq!(
            shown(hops[1]),
            ("gate:2222".into(), "ops".into(), "gate:2222".into())
        );
        assert!(hops.iter().all(|hop| hop.identity_files.is_empty()));
        assert!(
            hops.iter()
                .all(|hop| hop.known_hosts == ["/known"].map(std::path::PathBuf::from))
        );
        assert_eq!(hops.len(), 2);
    }

    #[test]
    fn the_same_jump_host_is_the_same_however_it_is_written() {
        let router = router(SessionOptions::default().user("me"));
        let way = |jump| router.settings(&through(jump)).expect(jump).route.clone();
        assert_eq!(way("gate"), way("me@gate:22"));
        assert_eq!(way("a,gate"), way("ssh://me@a,gate"));
        assert_ne!(way("gate"), way("you@gate"));
        assert_ne!(way("gate"), way("gate:23"));
        assert_ne!(way("gate"), way("a,gate"));
    }

    #[test]
    fn the_target_decides_before_the_options() {
        let target = Target::new("web1", "10.0.0.1");
        let gate: JumpHosts = "gate".parse().expect("a host");
        let jumping = router(SessionOptions::default().jump(gate));
        assert_eq!(
            hops(&jumping.settings(&target).expect("it resolves")).len(),
            1
        );
        assert_eq!(
            hops(&jumping.settings(&through("none")).expect("it resolves")).len(),
            0
        );

        let commanding = router(
            SessionOptions::default()
                .user("u")
                .proxy_command("nc %r %n %h:%p 100%%"),
        );
        let settings = commanding.settings(&target).expect("it resolves");
        assert_eq!(
            settings.route,
            Route::Command("nc u 10.0.0.1 10.0.0.1:22 100%".into())
        );
        let settings = commanding.settings(&through("gate")).expect("it resolves");
        assert_eq!(hops(&settings).len(), 1);
        let unknown = router(SessionOptions::default().proxy_command("nc %x"));
        assert!(unknown.settings(&target).is_err());
    }

    #[test]
    fn the_configuration_leads_through_jump_hosts_that_have_ways_of_their_own() {
        let config = "Host web*\n ProxyJump gate\nHost gate\n Hostname 10.0.0.254\n User ops\n \
            ProxyJump outer\nHost outer\n ProxyCommand nc %h %p\n";
        let web1 = Target::new("first", "web1");
        let router = configured(SessionOptions::default(), config);
        let settings = router.settings(&web1).expect("it resolves");
        let Route::Jump(gate) = &settings.route else {
            panic!("{settings:?}");
        };
        assert_eq!(
            (gate.user.as_str(), gate.endpoint().as_str()),
            ("ops", "10.0.0.254:22")
        );
        let Route::Jump(outer) = &gate.route else {
            panic!("{gate:?}");
        };
        assert_eq!(outer.route, Route::Command("nc outer 22".into()));

        // In a list, the hosts before lead there.
        let listed = Target {
            jump: Some("other,gate".parse().expect("hosts")),
            ..web1.clone()
        };
        assert_eq!(
            hops(&router.settings(&listed).expect("it resolves")).len(),
            2
        );
        let direct = Target {
            jump: Some("none".parse().expect("none")),
            ..web1.clone()
        };
        assert_eq!(
            router.settings(&direct).expect("it resolves").route,
            Route::Direct
        );
        let chosen = SessionOptions::default().jump("mine".parse().expect("a host"));
        let settings = configured(chosen, config)
            .settings(&web1)
            .expect("it resolves");
        assert_eq!(hops(&settings)[0].address, "mine");

        let circle = "Host a\n ProxyJump b\nHost b\n ProxyJump a\n";
        let router = configured(SessionOptions::default(), circle);
        let error = router
            .settings(&Target::new("a", "a"))
            .expect_err("a circle");
        assert!(error.message().contains("without end"), "{error}");
    }

    #[test]
    fn the_commands_that_targets_need_are_counted() {
        let targets = [
            Target::new("a", "web1"),
            Target::new("b", "db1"),
            through("gate"),
            through("gate"),
            through("gate,inner"),
            through("none"),
        ];
        let counted = |options: SessionOptions, config: &str| {
            let router = configured(options, config);
            router.read().expect("a text");
            let LocalCommands {
                lead_to,
                lead_to_jump_hosts,
                print_host_keys,
            } = router.local_commands(&targets);
            (lead_to, lead_to_jump_hosts, print_host_keys)
        };
        let plain = SessionOptions::default;
        for (config, expected) in [
            ("", (0, 0, false)),
            ("Host web*\n ProxyCommand nc %h %p\n", (1, 0, false)),
            ("Host gate\n ProxyCommand nc %h %p\n", (0, 1, false)),
            ("Host inner\n ProxyCommand nc %h %p\n", (0, 0, false)),
            (
                "Host web* db*\n ProxyJump inner\nHost inner gate\n ProxyCommand nc %h %p\n",
                (0, 2, false),
            ),
            ("ProxyCommand none\nKnownHostsCommand none\n", (0, 0, false)),
            (
                "ProxyCommand nc %h %p\nKnownHostsCommand /k\n",
                (2, 1, true),
            ),
            // What would run commands is not asked.
            ("Match exec false\n ProxyCommand nc %h %p\n", (2, 3, false)),
        ] {
            assert_eq!(counted(plain(), config), expected, "{config:?}");
        }
        let config = "ProxyCommand nc gate 22\n";
        assert_eq!(counted(plain().proxy_command("nc %h"), config).0, 2);
        assert_eq!(counted(plain().proxy_command("none"), config).0, 0);
        let gate = "gate".parse().expect("a host");
        assert_eq!(counted(plain().jump(gate), config).0, 0);
    }

    /// Whatever was decided before, each target gets what it would get alone.
    #[test]
    fn what_targets_have_in_common_is_decided_once() {
        let hosts = [
            "web1", "WEB2", "db1", "gate", "10.0.0.1", "::1", "a;b", "127.1",
        ];
        let mut targets: Vec<Target> = hosts.map(|host| Target::new(host, host)).into();
        targets.push(Target {
            user: Some("root".into()),
            ..Target::new("w", "web1")
        });
        targets.push(Target {
            port: Some(2222),
            known_hosts: Some("/known".into()),
            ..Target::new("w", "web2")
        });
        targets.push(through("gate"));
        targets.push(through("none"));
        for (config, shared) in [
            ("", true),
            (
                "Host *\n SendEnv LANG\n HashKnownHosts yes\nHost nobody\n Port 1\n",
                true,
            ),
            (
                "User ops\nControlPath ~/%C\nHost web2\n Port 1\nHost db*\n Port 2\n",
                true,
            ),
            ("ProxyCommand nc gate 22\nAddressFamily inet\n", true),
            ("ProxyCommand nc %h %p\n", false),
            (
                "Host gate\n ProxyJump none\nHost *\n ProxyJump gate\n",
                false,
            ),
            ("UserKnownHostsFile /known/%h\n", false),
            ("IdentityFile /keys/%n\nUser %h\n", false),
            ("Hostname %h.example.org\n", false),
            ("SetEnv NAME=%n\n", false),
            ("Match host web*\n User web\n", false),
            ("Match final host web2\n User web\n", false),
            ("Host WEB2\n Port 3\nHost other\n Include /nowhere\n", true),
        ] {
            let router = configured(SessionOptions::default(), config);
            for target in targets.iter().chain(&targets) {
                let alone = configured(SessionOptions::default(), config).settings(target);
                match (router.settings(target), alone) {
                    (Ok(settings), Ok(alone)) => assert_eq!(settings, alone, "{config:?}"),
                    (settings, alone) => assert_eq!(
                        settings.map_err(|error| error.to_string()),
                        alone.map_err(|error| error.to_string()),
                        "{config:?}"
                    ),
                }
            }
            let terms = |host: &str| {
                let target = Target::new(host, host);
                router.settings(&target).expect(config).terms
            };
            let is_shared = Arc::ptr_eq(&terms("one"), &terms("other1"));
            assert_eq!(is_shared, shared, "{config:?}");
        }

        let options = SessionOptions::default().proxy_command("nc %h");
        let commanding = router(options);
        for host in ["web1", "web2"] {
            let settings = commanding.settings(&Target::new(host, host));
            let route = Route::Command(format!("nc {host}"));
            assert_eq!(settings.expect("it resolves").route, route);
        }
    }

    #[test]
    fn sessions_run_commands_that_nobody_knows_yet_and_jump_hosts_run_none() {
        let config = "\
            Match sessiontype exec\n User exec\nMatch sessiontype none\n User none\nMatch sessiontype *\n User other\n\
            Match command \"\"\n Port 1\nMatch command up*,df*\n Port 2\nMatch !command up* host web*\n Port 3\n";
        let router = configured(SessionOptions::default(), config);
        let settings = router.settings(&through("gate")).expect("it resolves");
        assert_eq!((settings.user.as_str(), settings.port), ("exec", 22));
        let gate = hops(&settings)[0];
        assert_eq!((gate.user.as_str(), gate.port), ("none", 1));
        let web1 = router.settings(&Target::new("web1", "web1"));
        assert_eq!(web1.expect("it resolves").port, 3);
    }

    #[test]
    fn what_has_no_effect_is_known_once_a_host_was_decided_about() {
        let router = configured(
            SessionOptions::default(),
            "ControlMaster auto\nForwardAgent yes\n",
        );
        assert!(router.warnings().is_empty());
        router
            .settings(&Target::new("web1", "web1"))
            .expect("it resolves");
        assert_eq!(router.warnings().len(), 2);
    }
}
