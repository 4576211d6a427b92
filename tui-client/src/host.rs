//! `patchcord host`: a switchboard inside this program, for as long as its user stays in the room.

mod room_name;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use patchcord_server::{Config, Listeners, serve};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    cli::HostArgs,
    exit::{Exit, Failure},
    join,
    sealed::{Place, looks_like_a_code, new_code},
};

/// Where `patchcord rooms` looks unless told otherwise.
const ADMIN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50052);

/// What others need to join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosting {
    /// The switchboard, as others reach it.
    pub url: String,
    /// The line to type.
    pub join_command: String,
    /// Whether only this machine can reach it.
    pub only_here: bool,
    /// Whether `patchcord rooms` works here; not if its port was taken.
    pub has_admin_door: bool,
}

/// Runs the command to its end: the switchboard drains when the room is left.
///
/// # Errors
/// When the address cannot be used, or the room not be joined.
pub async fn run(args: &HostArgs) -> Result<Exit, Failure> {
    let place = place(args)?;
    let cannot_bind = |reason| Failure::Bind { address: args.bind, reason };
    let public = TcpListener::bind(args.bind).await.map_err(cannot_bind)?;
    let address = public.local_addr().map_err(cannot_bind)?;
    let admin = TcpListener::bind(ADMIN_ADDRESS).await.ok();
    let hosting = Hosting::new(&place, address, admin.is_some());

    let (stop, stopped) = oneshot::channel::<()>();
    let switchboard = tokio::spawn(serve(Config::default(), Listeners { public, admin }, async {
        // Also when the sender is dropped: then nobody is left to host for.
        let _ = stopped.await;
    }));
    let made = args.sealed;
    let url = loopback_url(address);
    // A switchboard of one's own asks for no token.
    let result = join::take_part(&args.session, &url, None, place, made, Some(&hosting)).await;
    drop(stop);
    // Bounded by the drain deadline of the switchboard itself.
    match switchboard.await {
        Ok(Ok(())) => result,
        Ok(Err(error)) => result.and(Err(Failure::Switchboard(error.to_string()))),
        Err(panic) => result.and(Err(Failure::Switchboard(panic.to_string()))),
    }
}

/// Which room is opened.
fn place(args: &HostArgs) -> Result<Place, Failure> {
    if args.sealed {
        return Ok(Place::Sealed(new_code()?));
    }
    let made_up = || {
        room_name::random()
            .map_err(|error| Failure::System { doing: "cannot make up a room name", reason: error.into() })
    };
    let room = args.room.clone().map_or_else(made_up, Ok)?;
    if looks_like_a_code(&room) {
        let text = "this looks like a code, and a code is made for one room: --sealed makes one";
        return Err(Failure::Usage(text.into()));
    }
    Ok(Place::Open(room))
}

impl Hosting {
    fn new(place: &Place, bound: SocketAddr, has_admin_door: bool) -> Self {
        let ip = if bound.ip().is_unspecified() { address_of_this_machine(bound.ip()) } else { bound.ip() };
        let url = format!("http://{}", SocketAddr::new(ip, bound.port()));
        let join_command = match place {
            // It asks for the code, which is nobody's who only sees the line.
            Place::Sealed(_) => format!("patchcord join --server {url}"),
            // What begins with a dash is an option to any program unless it comes after two.
            Place::Open(room) if room.starts_with('-') => {
                format!("patchcord join --server {url} -- {}", shell_word(room))
            }
            Place::Open(room) => format!("patchcord join {} --server {url}", shell_word(room)),
        };
        Self { url, join_command, only_here: ip.is_loopback(), has_admin_door }
    }
}

impl Hosting {
    /// What the host is told at the start.
    pub fn notices(&self) -> Vec<String> {
        let join = format!("others join with:  {}", self.join_command);
        let reach = self.only_here.then(|| "only this machine can reach the switchboard".to_owned());
        let admin = match self.has_admin_door {
            true => "look into the rooms with:  patchcord rooms".to_owned(),
            false => format!("the rooms cannot be looked into: {ADMIN_ADDRESS} is taken"),
        };
        let open = (!self.only_here).then(|| {
            "whoever reaches the switchboard can use it: it asks for no token, and has no TLS".to_owned()
        });
        [Some(join), reach, open, Some(admin)].into_iter().flatten().collect()
    }
}

/// The address that packets to elsewhere would come from. Connecting a UDP socket sends none.
fn address_of_this_machine(unspecified: IpAddr) -> IpAddr {
    // Addresses for documentation (RFC 5737, RFC 3849): routed like any other, answered by nobody.
    let v4 = || source_for(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into());
    let v6 =
        || source_for(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into());
    // A listener on [::] takes IPv4 as well on the systems we run on, and IPv4 addresses are easier to type.
    let found = if unspecified.is_ipv4() { v4() } else { v4().or_else(v6) };
    found.unwrap_or_else(|| loopback(unspecified))
}

fn source_for(local: IpAddr, remote: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((local, 0)).ok()?;
    socket.connect((remote, 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

fn loopback(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() }
}

/// Where this program itself joins.
fn loopback_url(bound: SocketAddr) -> String {
    let ip = if bound.ip().is_unspecified() { loopback(bound.ip()) } else { bound.ip() };
    format!("http://{}", SocketAddr::new(ip, bound.port()))
}

/// `text` as one word of a POSIX shell.
pub(crate) fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_.,:@%+/".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(room: &str) -> Place {
        Place::Open(room.into())
    }

    #[test]
    fn the_line_to_type_survives_the_shell() {
        assert_eq!(shell_word("amber-otter-kite"), "amber-otter-kite");
        assert_eq!(shell_word("my room"), "'my room'");
        assert_eq!(shell_word("it's; rm -r ~"), r"'it'\''s; rm -r ~'");
        assert_eq!(shell_word("$(reboot)"), "'$(reboot)'");
    }

    #[test]
    fn others_are_told_the_address_that_is_bound() {
        let hosting = Hosting::new(&open("lobby"), "127.0.0.1:5001".parse().unwrap(), false);
        assert_eq!(hosting.join_command, "patchcord join lobby --server http://127.0.0.1:5001");
        assert!(hosting.only_here);
        let says_open = |hosting: &Hosting| hosting.notices().iter().any(|text| text.contains("no token"));
        assert!(!says_open(&hosting));
        assert!(says_open(&Hosting::new(&open("lobby"), "192.0.2.1:5001".parse().unwrap(), false)));
        let hosting = Hosting::new(&open("-x"), "127.0.0.1:5001".parse().unwrap(), false);
        assert_eq!(hosting.join_command, "patchcord join --server http://127.0.0.1:5001 -- -x");
        let hosting = Hosting::new(&open("lobby"), "[::1]:5001".parse().unwrap(), false);
        assert_eq!(hosting.url, "http://[::1]:5001");
    }

    #[test]
    fn an_unspecified_address_is_told_to_nobody() {
        for bound in ["0.0.0.0:5001", "[::]:5001"] {
            let hosting = Hosting::new(&open("lobby"), bound.parse().unwrap(), false);
            let address: SocketAddr = hosting.url.strip_prefix("http://").unwrap().parse().unwrap();
            assert!(!address.ip().is_unspecified(), "{hosting:?}");
            assert_eq!(address.port(), 5001);
        }
        assert_eq!(loopback_url("0.0.0.0:7".parse().unwrap()), "http://127.0.0.1:7");
        assert_eq!(loopback_url("[::]:7".parse().unwrap()), "http://[::1]:7");
    }
}
