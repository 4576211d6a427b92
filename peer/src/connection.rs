//! One WebRTC connection with its chat channel: the only file, with `runtime.rs`, that names the engine.
//!
//! Invariant: the engine's callbacks only push into a bounded queue and return, because they run on the
//! task that drives ICE consent, DTLS and SCTP.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use rtc::peer_connection::configuration::RTCOfferOptions;
use tokio::sync::{Notify, mpsc};
use webrtc::{
    data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit},
    peer_connection::{PeerConnection, PeerConnectionBuilder, RTCSessionDescription, StatsSelector},
};

mod callbacks;
mod certificate;
mod gated;
mod outgoing;
mod path;
#[cfg(any(test, feature = "fuzzing"))]
mod reading;
mod settings;

use callbacks::Callbacks;
pub(crate) use certificate::{Certificate, Fingerprint};
use outgoing::{without_related_address, without_related_addresses};
use path::{Signaled, selected_path};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use reading::read_by_engine;
use settings::{configuration, first_configuration, local_addresses, networks, settings};

use crate::{
    CaCertificate, CandidateType, ConnectionState, IceServer, IceTransportPolicy, IpPolicy, Path,
    address_gate::AddressGate,
    negotiation::{Candidate, DescriptionKind, username_fragments},
    runtime::SettlingRuntime,
    source_filter::SourceFilter,
    turn_shim::TurnShims,
};

const CHAT_CHANNEL_LABEL: &str = "chat";
const CHAT_CHANNEL_PROTOCOL: &str = "patchcord.chat.v1";
const CHAT_CHANNEL_ID: u16 = 0;

/// Bytes handed to the channel and not yet acknowledged by SCTP; more have to wait.
const SEND_BUFFER_BYTES_MAX: usize = 1 << 20;

/// Callbacks waiting to be handled. A candidate that does not fit is lost, as on a network.
const EVENTS_MAX: usize = 256;

/// What the engine could not do. Its text goes to logs and people, never decides anything.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct EngineError(String);

impl<E: std::fmt::Display> From<(&str, E)> for EngineError {
    fn from((what, error): (&str, E)) -> Self {
        // The engine's errors may quote what the peer sent.
        Self(format!("{what}: {}", error.to_string().escape_debug()))
    }
}

/// What a connection is made with.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionConfig {
    pub certificate: Certificate,
    pub ice_servers: Vec<IceServer>,
    /// Trusted beside the platform's authorities, for TURN over TLS.
    pub ca_certificate: Option<CaCertificate>,
    pub ice_transport_policy: IceTransportPolicy,
    pub ip_policy: IpPolicy,
    /// The peer is verified.
    pub verified: bool,
    pub local_addresses: Vec<IpAddr>,
}

impl ConnectionConfig {
    /// Whether nothing but relays may be used, for now or for good.
    pub(crate) fn relay_only(&self) -> bool {
        let until_verified = self.ip_policy == IpPolicy::Relay && !self.verified;
        until_verified || self.ice_transport_policy == IceTransportPolicy::Relay
    }

    /// Whether there is a TURN server at all.
    pub(crate) fn has_relay(&self) -> bool {
        let is_turn = |url: &String| url.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("turn"));
        self.ice_servers.iter().any(|server| server.urls.iter().any(is_turn))
    }
}

#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    State(ConnectionState),
    /// The engine has chosen a pair, or hears again from the one that it has.
    PairSelected,
    /// A TURN server that only a stream reaches: the trouble with it, or none any more. Free of control characters.
    Relay {
        url: String,
        trouble: Option<String>,
    },
    /// Empty: end-of-candidates.
    LocalCandidate(Candidate),
    ChannelOpen,
    ChannelMessage(Bytes),
    ChannelClosed,
    /// The engine has given up: nothing follows.
    Stopped,
    /// An address of a STUN or TURN server is known that was not.
    ServersKnown,
    /// The peer opened a channel of its own, which this version has no use for.
    ForeignChannel,
}

pub(crate) struct Connection {
    engine: Arc<dyn PeerConnection>,
    channel: Arc<dyn DataChannel>,
    callbacks: mpsc::Receiver<ConnectionEvent>,
    /// Taken from the callbacks and not yet told.
    held: VecDeque<ConnectionEvent>,
    foreign_channel: Arc<Notify>,
    channel_open: Arc<AtomicBool>,
    gate: Arc<Mutex<AddressGate>>,
    sources: Arc<Mutex<SourceFilter>>,
    /// Of a peer that is not verified, at private addresses; taken once they may be.
    withheld: Vec<Candidate>,
    servers_known: Arc<Notify>,
    channel_closed: bool,
    closed: bool,
    local_fragment: Option<String>,
    local_addresses: Vec<IpAddr>,
    ice_servers: Vec<IceServer>,
    relay_only: bool,
    turn_shims: TurnShims,
    restart: bool,
    signaled: Signaled,
}

impl Connection {
    pub(crate) async fn new(config: &ConnectionConfig) -> Result<Self, EngineError> {
        let (callback_tx, callbacks) = mpsc::channel(EVENTS_MAX);
        let foreign_channel = Arc::<Notify>::default();
        let channel_open = Arc::<AtomicBool>::default();
        let local_addresses = local_addresses(&config.local_addresses);
        let addresses: Vec<_> = local_addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
        let mut turn_shims = TurnShims::new(callback_tx.clone());
        let ice_servers =
            turn_shims.serve(&config.ice_servers, config.ca_certificate.as_ref(), &local_addresses).await;
        let relay_only = config.relay_only();
        let gate = Arc::new(Mutex::new(address_gate(config, &local_addresses)));
        let (servers_known, sources) = (Arc::<Notify>::default(), Arc::default());
        let runtime = SettlingRuntime::new(
            channel_open.clone(),
            Arc::clone(&sources),
            gate.clone(),
            servers_known.clone(),
        );
        let mut urls = ice_servers.iter().flat_map(|server| &server.urls);
        if relay_only && !urls.any(|url| url.starts_with("turn")) {
            return Err(EngineError("nothing but relays may be used, and there is no TURN server".into()));
        }
        // The engine's agent never takes what its first configuration ruled out.
        let relay_for_good = config.ice_transport_policy == IceTransportPolicy::Relay;
        let handler = Callbacks { events: callback_tx, foreign_channel: foreign_channel.clone() };
        let builder = PeerConnectionBuilder::new()
            .with_configuration(first_configuration(ice_servers.clone(), config, relay_for_good))
            .with_setting_engine(settings(relay_for_good, &local_addresses))
            .with_runtime(Arc::new(runtime))
            .with_handler(Arc::new(handler))
            .with_udp_addrs(addresses)
            .with_data_channel_send_buffer_limit(SEND_BUFFER_BYTES_MAX);
        let engine = Box::pin(builder.build()).await.map_err(|error| ("cannot open sockets", error))?;
        let engine: Arc<dyn PeerConnection> = Arc::new(engine);
        if relay_only != relay_for_good {
            let set = engine.set_configuration(configuration(ice_servers, relay_only)).await;
            set.map_err(|error| ("cannot keep to relays", error))?;
        }
        let options = RTCDataChannelInit {
            protocol: CHAT_CHANNEL_PROTOCOL.into(),
            negotiated: Some(CHAT_CHANNEL_ID),
            ..RTCDataChannelInit::default()
        };
        let channel = engine
            .create_data_channel(CHAT_CHANNEL_LABEL, Some(options))
            .await
            .map_err(|error| ("cannot create the chat channel", error))?;
        Ok(Self {
            engine,
            channel,
            callbacks,
            held: VecDeque::new(),
            foreign_channel,
            channel_open,
            gate,
            sources,
            withheld: Vec::new(),
            servers_known,
            channel_closed: false,
            closed: false,
            local_fragment: None,
            local_addresses,
            ice_servers: config.ice_servers.clone(),
            relay_only,
            turn_shims,
            restart: false,
            signaled: Signaled::default(),
        })
    }

    /// Creates and sets an offer or an answer.
    pub(crate) async fn describe(&mut self, kind: DescriptionKind) -> Result<String, EngineError> {
        let description = match kind {
            DescriptionKind::Offer => {
                let ice_restart = std::mem::take(&mut self.restart);
                self.engine.create_offer(Some(RTCOfferOptions { ice_restart })).await
            }
            DescriptionKind::Answer => self.engine.create_answer(None).await,
        };
        let description = description.map_err(|error| ("cannot describe the connection", error))?;
        let sdp = description.sdp.clone();
        let fragment = username_fragments(&sdp).into_iter().next();
        if self.local_fragment != fragment {
            self.local_fragment = fragment;
            self.forget_candidates();
        }
        self.engine
            .set_local_description(description)
            .await
            .map_err(|error| ("cannot set the local description", error))?;
        Ok(without_related_addresses(&sdp))
    }

    /// The next offer begins another ICE generation, on new sockets. Not the engine's own restart, which gathers
    /// before the new generation is there and again after.
    pub(crate) fn restart_ice(&mut self) {
        self.restart = true;
    }

    /// Whether this host has other addresses now than those that the connection was made on. Never, if they
    /// were chosen.
    pub(crate) fn addresses_changed(&self, config: &ConnectionConfig) -> bool {
        local_addresses(&config.local_addresses) != self.local_addresses
    }

    /// Those not told yet are of an ICE generation that is over.
    fn forget_candidates(&mut self) {
        while let Ok(event) = self.callbacks.try_recv() {
            self.held.push_back(event);
        }
        self.held.retain(|event| {
            !matches!(event, ConnectionEvent::LocalCandidate(_) | ConnectionEvent::PairSelected)
        });
    }

    pub(crate) async fn rollback(&self) -> Result<(), EngineError> {
        let rollback = RTCSessionDescription::rollback(None).map_err(|error| ("cannot roll back", error))?;
        self.engine.set_local_description(rollback).await.map_err(|error| ("cannot roll back", error).into())
    }

    /// The next thing the engine tells, with what came over the channel only if `read_channel`. Cancel safe.
    /// Never ends: after the channel has closed only states and candidates come.
    pub(crate) async fn next_event(&mut self, read_channel: bool) -> ConnectionEvent {
        loop {
            if let Some(event) = self.held.pop_front() {
                return event;
            }
            let event = tokio::select! {
                biased;
                Some(event) = self.callbacks.recv() => match event {
                    ConnectionEvent::LocalCandidate(candidate) => {
                        ConnectionEvent::LocalCandidate(self.complete(candidate))
                    }
                    event => event,
                },
                () = self.foreign_channel.notified() => ConnectionEvent::ForeignChannel,
                () = self.servers_known.notified() => ConnectionEvent::ServersKnown,
                event = self.channel.poll(), if read_channel && !self.channel_closed => match event {
                    Some(DataChannelEvent::OnOpen) => {
                        self.channel_open.store(true, Relaxed);
                        ConnectionEvent::ChannelOpen
                    }
                    Some(DataChannelEvent::OnMessage(message)) => {
                        ConnectionEvent::ChannelMessage(message.data.freeze())
                    }
                    Some(DataChannelEvent::OnClose) => {
                        self.channel_closed = true;
                        ConnectionEvent::ChannelClosed
                    }
                    None => {
                        self.channel_closed = true;
                        ConnectionEvent::Stopped
                    }
                    Some(_) => continue,
                },
                else => std::future::pending().await,
            };
            return event;
        }
    }

    /// The engine leaves out what others want to see (some refuse an empty `sdpMid`).
    fn complete(&self, candidate: Candidate) -> Candidate {
        Candidate {
            sdp_mid: Some("0".into()),
            sdp_m_line_index: Some(0),
            username_fragment: self.local_fragment.clone(),
            candidate: without_related_address(&candidate.candidate),
        }
    }

    /// The writing end of the chat channel.
    pub(crate) fn channel(&self) -> Channel {
        Channel(self.channel.clone())
    }

    /// The selected candidate pair, once there is one.
    pub(crate) async fn path(&self) -> Option<Path> {
        let path = selected_path(&self.engine.get_stats(Instant::now(), StatsSelector::None).await)?;
        if path.remote != CandidateType::Prflx {
            return Some(path);
        }
        let remote = self.selected_remote_address().await.and_then(|address| self.signaled.get(address));
        Some(Path { remote: remote.unwrap_or(path.remote), ..path })
    }

    async fn selected_remote_address(&self) -> Option<SocketAddr> {
        let ice = self.engine.sctp().await?.transport().ice_transport();
        let pair = ice.get_selected_candidate_pair().await.ok()??;
        let address: IpAddr = pair.remote().address.parse().ok()?;
        Some(SocketAddr::new(address.to_canonical(), pair.remote().port))
    }

    /// Closes the channel, then the connection: browsers log an abort in the other order. What was sent and
    /// not acknowledged is lost, so say goodbye first.
    pub(crate) async fn close(mut self) {
        self.closed = true;
        close(&*self.channel, &*self.engine).await;
    }
}

fn address_gate(config: &ConnectionConfig, local_addresses: &[IpAddr]) -> AddressGate {
    AddressGate {
        loopback: local_addresses.iter().any(IpAddr::is_loopback),
        policy: config.ip_policy,
        verified: config.verified,
        relay_only: config.relay_only(),
        networks: networks(),
        ..AddressGate::default()
    }
}

/// The engine's driver outlives a connection that is dropped without being closed.
impl Drop for Connection {
    fn drop(&mut self) {
        if !self.closed
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (channel, engine) = (self.channel.clone(), self.engine.clone());
            runtime.spawn(async move { close(&*channel, &*engine).await });
        }
    }
}

async fn close(channel: &dyn DataChannel, engine: &dyn PeerConnection) {
    // It may be closed already.
    let _ = channel.close().await;
    if let Err(error) = engine.close().await {
        tracing::debug!(error = %error.to_string().escape_debug(), "closing a connection");
    }
}

/// The writing end of a chat channel.
pub(crate) struct Channel(Arc<dyn DataChannel>);

impl Channel {
    /// Waits until the channel takes another frame. Cancel safe; fails when the channel is closed.
    pub(crate) async fn writable(&self) -> Result<(), EngineError> {
        self.0.writable().await.map_err(|error| ("the channel is closed", error).into())
    }

    /// Hands a frame to the channel; waits for room first.
    pub(crate) async fn send(&self, frame: Bytes) -> Result<(), EngineError> {
        self.0.send(BytesMut::from(frame)).await.map_err(|error| ("the channel is closed", error).into())
    }
}

#[cfg(test)]
mod tests;
