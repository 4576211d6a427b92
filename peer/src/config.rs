//! What a peer is told before it joins; every wait and size has its default here.

use std::{net::IpAddr, time::Duration};

use crate::{AccessToken, CaCertificate, ClientCertificate, Code, Identity, Judge, Seal, seal::SERVER_NAME};

/// How to join a room. Start from [`Config::new`] and change what differs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The signaling server: `http://HOST:PORT` or `https://HOST:PORT`.
    pub server: String,
    /// For `https`: trusted beside the platform's authorities, as for a server with a certificate of its own.
    pub ca_certificate: Option<CaCertificate>,
    /// For a server that asks who may join. It is not sent in clear, but to this machine itself.
    pub access_token: Option<AccessToken>,
    /// For `https`: shown to a server that asks for a certificate.
    pub client_certificate: Option<ClientCertificate>,
    /// The room's name; the server's limit is 128 bytes of printable UTF-8.
    pub room: String,
    /// For a sealed room: then `room` is the locator of its code, and the server learns no name, description or candidate.
    pub seal: Option<Seal>,
    /// Proved to every peer on its channel, so that those who verified us know us again; without one they cannot.
    pub identity: Option<Identity>,
    /// What to make of peers by their identity keys and names; without it all are [`crate::Judgement::New`].
    pub judge: Option<Judge>,
    /// What others are shown; the server's limit is 64 bytes of printable UTF-8.
    pub display_name: String,
    /// Program and version, for operators.
    pub user_agent: String,
    /// Who begins to connect.
    pub connect_policy: ConnectPolicy,
    /// ICE servers beside those that the signaling server names.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates may be used.
    pub ice_transport_policy: IceTransportPolicy,
    /// How far a peer is trusted that is not verified. In a sealed room every peer is, by the code.
    pub ip_policy: IpPolicy,
    /// Local addresses to gather host candidates on; empty means those of every interface but loopback,
    /// or loopback where there is nothing else.
    pub local_addresses: Vec<IpAddr>,
    /// Peers of a full mesh, oneself included; with more in the room not all are connected, and
    /// [`crate::ProblemCode::MeshFull`] says with whom.
    pub mesh_peers_max: usize,
    /// From the first step of a connection to its open channel.
    pub connect_timeout: Duration,
    /// From opening the stream to [`crate::RoomInfo`].
    pub join_timeout: Duration,
    /// For delivering what is queued when leaving.
    pub leave_timeout: Duration,
    /// Remote candidates taken from one peer for one connection.
    pub candidates_per_peer_max: usize,
    /// Texts that wait for one peer; one more is [`crate::SendError::QueueFull`].
    pub queued_texts_max: usize,
}

impl Config {
    /// The defaults for `room` at `server`.
    pub fn new(server: impl Into<String>, room: impl Into<String>, display_name: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            ca_certificate: None,
            access_token: None,
            client_certificate: None,
            room: room.into(),
            seal: None,
            identity: None,
            judge: None,
            display_name: display_name.into(),
            user_agent: concat!("patchcord-peer/", env!("CARGO_PKG_VERSION")).into(),
            connect_policy: ConnectPolicy::Newcomer,
            ice_servers: Vec::new(),
            ice_transport_policy: IceTransportPolicy::All,
            ip_policy: IpPolicy::default(),
            local_addresses: Vec::new(),
            mesh_peers_max: 8,
            connect_timeout: Duration::from_secs(30),
            join_timeout: Duration::from_secs(10),
            leave_timeout: Duration::from_secs(10),
            candidates_per_peer_max: 64,
            queued_texts_max: 1024,
        }
    }

    /// The defaults for the sealed room of `code` at `server`.
    pub fn sealed(server: impl Into<String>, code: Code, display_name: impl Into<String>) -> Self {
        let room = code.locator().to_owned();
        Self { seal: Some(Seal { code, guesses_used: 0 }), ..Self::new(server, room, display_name) }
    }

    /// In a sealed room the server is not to learn names.
    pub(crate) fn name_for_server(&self) -> &str {
        if self.seal.is_some() { SERVER_NAME } else { &self.display_name }
    }
}

/// Who begins to connect in a pair. An offer that comes is answered under either policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectPolicy {
    /// The one that joined later.
    Newcomer,
    /// Nobody, until [`crate::Room::connect`].
    Manual,
}

/// Which candidates may be used: RTCIceTransportPolicy of W3C WebRTC 1.0 section 4.2.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IceTransportPolicy {
    /// All.
    All,
    /// Only those relayed by a TURN server: the other side does not learn this host's addresses.
    Relay,
}

/// What a peer that is not verified may make us do: to which addresses packets go, and which of ours it learns. Loopback
/// (unless we gather there ourselves), link-local, multicast and reserved addresses are out of the question for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IpPolicy {
    /// It may be at any private address: for networks in which private addresses are routed.
    Any,
    /// It may be at a private address only in a network that this machine has an interface in.
    #[default]
    Guarded,
    /// It is met at TURN servers only, and learns no address but theirs. Once it is verified the direct path is taken.
    Relay,
}

/// A STUN or TURN server: RTCIceServer of W3C WebRTC 1.0 section 4.2.4.
#[derive(Clone, PartialEq, Eq)]
pub struct IceServer {
    /// STUN and TURN urls (RFC 7064, RFC 7065).
    pub urls: Vec<String>,
    /// For TURN.
    pub username: String,
    /// For TURN; not shown by `Debug`.
    pub credential: String,
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}
