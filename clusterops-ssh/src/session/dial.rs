//! TCP connections to hosts.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::settings::{Settings, Tcp};
use crate::clock::deadline_in;
use crate::config::AddressFamily;
use crate::{Error, ErrorKind, Result};

/// From the start of one attempt to that of the next (ConnectionAttempts, ssh_config(5)).
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(1);

/// Opens the TCP connection within the deadline for it, in which all addresses are tried as often as is asked for.
pub(super) async fn tcp(settings: &Settings) -> Result<TcpStream> {
    let (tcp, limit) = (&settings.tcp, settings.connect_deadline);
    let deadline = deadline_in(limit);
    let addresses = resolve(
        &settings.address,
        settings.port,
        tcp.family,
        deadline,
        limit,
    )
    .await?;
    let sources = match &tcp.bind_address {
        Some(name) => resolve(name, 0, tcp.family, deadline, limit).await?,
        None => Vec::new(),
    };
    let mut left = tcp.attempts;
    loop {
        let next = Instant::now() + BETWEEN_ATTEMPTS;
        match first_that_answers(&addresses, &sources, tcp, deadline).await {
            Ok(stream) => return Ok(stream),
            Err(error) if left <= 1 || next >= deadline => {
                return Err(Error::connect(&settings.endpoint(), timed(error, limit)));
            }
            Err(_) => sleep_until(next).await,
        }
        left -= 1;
    }
}

/// Tries one address after the other; each gets its share of the time that is left.
async fn first_that_answers(
    addresses: &[SocketAddr],
    sources: &[SocketAddr],
    tcp: &Tcp,
    deadline: Instant,
) -> io::Result<TcpStream> {
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(1);
        match timeout(share, connect(*address, sources, tcp)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}

async fn connect(address: SocketAddr, sources: &[SocketAddr], tcp: &Tcp) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Small packets in both directions: Nagle's algorithm would only delay them.
    socket.set_nodelay(true)?;
    socket.set_keepalive(tcp.keep_alive)?;
    if let Some(interface) = &tcp.bind_interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if !sources.is_empty() {
        let fits = |source: &&SocketAddr| source.is_ipv4() == address.is_ipv4();
        let source = sources.iter().find(fits);
        socket.bind(*source.ok_or(io::ErrorKind::AddrNotAvailable)?)?;
    }
    socket.connect(address).await
}

/// The addresses of a name, in the resolver's order.
async fn resolve(
    name: &str,
    port: u16,
    family: Option<AddressFamily>,
    deadline: Instant,
    limit: Duration,
) -> Result<Vec<SocketAddr>> {
    let mut addresses: Vec<SocketAddr> = match name.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        // An IPv6 address with a zone comes here too: getaddrinfo(3) knows the interfaces.
        Err(_) => match timeout_at(deadline, lookup_host((name, port))).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(error)) => {
                // getaddrinfo(3): of its failures only EAI_AGAIN passes; std keeps no code, only gai_strerror's text.
                let passing = error.to_string().contains("Temporary failure");
                let message = format!("the name `{name}` does not resolve");
                let error = Error::new(ErrorKind::Unreachable, message).caused_by(error);
                return Err(if passing { error } else { error.permanent() });
            }
            Err(_) => {
                let message = format!("the name `{name}` did not resolve within {limit:?}");
                return Err(Error::new(ErrorKind::Timeout, message));
            }
        },
    };
    addresses.retain(|address| match family {
        Some(AddressFamily::Inet) => address.is_ipv4(),
        Some(AddressFamily::Inet6) => address.is_ipv6(),
        None => true,
    });
    if addresses.is_empty() {
        let kind = match family {
            Some(AddressFamily::Inet) => " for IPv4 (AddressFamily)",
            Some(AddressFamily::Inet6) => " for IPv6 (AddressFamily)",
            None => "",
        };
        let message = format!("`{name}` has no address{kind}");
        return Err(Error::new(ErrorKind::Unreachable, message).permanent());
    }
    Ok(addresses)
}

/// A deadline that passed says which.
fn timed(error: io::Error, limit: Duration) -> io::Error {
    match error.kind() {
        io::ErrorKind::TimedOut if error.raw_os_error().is_none() => io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {limit:?}"),
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clusterops_core::Target;
    use tokio::net::TcpListener;
    use tokio::time::sleep;

    use super::super::SessionOptions;
    use super::super::settings::Environment;
    use super::*;
    use crate::config::{Config, Query};

    const PLAIN: Tcp = Tcp {
        family: None,
        bind_address: None,
        bind_interface: None,
        attempts: 1,
        keep_alive: true,
    };

    fn soon() -> Instant {
        deadline_in(Duration::from_secs(20))
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let alive = listener.local_addr().expect("it is bound");
        let refusing = SocketAddr::new([127, 0, 0, 2].into(), alive.port());
        let stream = first_that_answers(&[refusing, alive], &[], &PLAIN, soon()).await;
        assert_eq!(
            stream.and_then(|stream| stream.peer_addr()).ok(),
            Some(alive)
        );

        // A listener whose queue is full takes no further connection and refuses none: the address is dead.
        let full = TcpSocket::new_v4().expect("a socket");
        full.bind("127.0.0.3:0".parse().expect("an address"))
            .expect("a port");
        let full = full.listen(1).expect("it listens");
        let dead = full.local_addr().expect("it is bound");
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) =
            timeout(Duration::from_millis(200), TcpStream::connect(dead)).await
        {
            queued.push(stream);
        }
        let deadline = deadline_in(Duration::from_secs(2));
        let stream = first_that_answers(&[dead, alive], &[], &PLAIN, deadline).await;
        assert_eq!(
            stream.and_then(|stream| stream.peer_addr()).ok(),
            Some(alive)
        );
        let error = first_that_answers(&[refusing], &[], &PLAIN, soon()).await;
        let error = error.expect_err("it refuses");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    /// The clock stands still while anything is under way: the first attempt is over when somebody listens at last.
    #[tokio::test(start_paused = true)]
    async fn a_port_that_refuses_is_tried_as_often_as_the_configuration_says() {
        let target = Target::new("web1", "127.0.0.1");
        for (attempts, is_reached) in [(1, false), (2, true)] {
            let socket = TcpSocket::new_v4().expect("a socket");
            let any = "127.0.0.1:0".parse().expect("an address");
            socket.bind(any).expect("a port");
            let port = socket.local_addr().expect("it is bound").port();
            let config = Config::parse(format!("ConnectionAttempts {attempts}\n"), "test");
            let query = Query::new("127.0.0.1").port(port);
            let host = config
                .expect("it reads")
                .resolve(&query)
                .expect("it resolves");
            let options = SessionOptions::default();
            let own = Environment::find();
            let settings = Settings::resolve(&target, &options, &host, &own, Path::new("/"));
            let listening = async {
                sleep(BETWEEN_ATTEMPTS / 2).await;
                socket.listen(1).expect("it listens")
            };
            let (reached, _listener) = tokio::join!(tcp(&settings), listening);
            match reached {
                Ok(_) => assert!(is_reached, "the one attempt was made before"),
                Err(error) => {
                    assert!(!is_reached, "{error}");
                    assert_eq!(error.kind(), ErrorKind::Refused);
                }
            }
        }
    }

    #[tokio::test]
    async fn a_connection_starts_where_it_is_bound_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let sources = ["[::1]:0", "127.0.0.9:0"].map(|text| text.parse().expect(text));
        let stream = connect(address, &sources, &PLAIN)
            .await
            .expect("it connects");
        let local = stream.local_addr().expect("it is connected");
        assert_eq!(local.ip(), IpAddr::from([127, 0, 0, 9]));
        let error = connect(address, &sources[..1], &PLAIN)
            .await
            .expect_err("no such address");
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[tokio::test]
    async fn addresses_are_of_the_family_that_is_asked_for() {
        let limit = Duration::from_secs(20);
        let resolve = async |name: &str, family| resolve(name, 22, family, soon(), limit).await;
        assert!(resolve("::1", None).await.is_ok());
        let error = resolve("::1", Some(AddressFamily::Inet))
            .await
            .expect_err("none");
        assert!(
            error.message().contains("IPv4") && !error.is_retryable(),
            "{error}"
        );
        let error = resolve("127.0.0.1", Some(AddressFamily::Inet6))
            .await
            .expect_err("none");
        assert!(error.message().contains("IPv6"), "{error}");
        let zoned = resolve("fe80::1%lo", None)
            .await
            .expect("an address with a zone");
        let SocketAddr::V6(zoned) = zoned[0] else {
            panic!("{zoned:?}");
        };
        assert_ne!(zoned.scope_id(), 0);
    }
}
