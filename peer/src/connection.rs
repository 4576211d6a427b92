//! One WebRTC connection with its chat channel: the only file, with `runtime.rs`, that names the engine.
//!
//! Invariant: the engine's callbacks only push into a bounded queue and return, because they run on the
//! task that drives ICE consent, DTLS and SCTP.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, mpsc};
use webrtc::{
    data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit},
    peer_connection::{
        PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
        RTCIceCandidateInit, RTCIceGatheringState, RTCIceServer, RTCIceTransportPolicy,
        RTCPeerConnectionIceEvent, RTCPeerConnectionState, RTCSessionDescription, SettingEngineBuilder,
        StatsSelector,
    },
};

mod path;

use path::selected_path;

use crate::{
    ConnectionState, IceServer, IceTransportPolicy, Path, candidate_gate,
    negotiation::{Candidate, DescriptionKind, username_fragments},
    runtime::SettlingRuntime,
};

const CHAT_CHANNEL_LABEL: &str = "chat";
const CHAT_CHANNEL_PROTOCOL: &str = "patchcord.chat.v1";
const CHAT_CHANNEL_ID: u16 = 0;

/// Bytes handed to the channel and not yet acknowledged by SCTP; more have to wait.
const SEND_BUFFER_BYTES_MAX: usize = 1 << 20;

/// Addresses to gather candidates on; each costs a socket a connection.
const LOCAL_ADDRESSES_MAX: usize = 8;

/// Callbacks waiting to be handled. A candidate that does not fit is lost, as on a network.
const EVENTS_MAX: usize = 256;

/// Silence until the state is disconnected, and from there until it is failed (the engine's defaults are
/// 5 and 25 s), and the interval of keepalives.
const ICE_DISCONNECTED_TIMEOUT: Duration = Duration::from_secs(5);
const ICE_FAILED_TIMEOUT: Duration = Duration::from_secs(15);
const ICE_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// Between two rounds of connectivity checks (RFC 8445 section 14.2 permits 5 ms), and how many a pair gets. On a fast
/// path the engine often nominates in the round after the one that succeeded, so its default of 200 ms is felt,
/// and its default of 7 rounds gives up a pair before a distant peer may have begun.
const ICE_CHECK_INTERVAL: Duration = Duration::from_millis(20);
const ICE_CHECKS_MAX: u16 = 500;

/// How long a better pair may take to show up before one of this kind is accepted. A peer-reflexive pair is
/// often the direct path itself, seen before its candidate came.
const SRFLX_ACCEPTANCE_WAIT: Duration = Duration::from_millis(100);
const RELAY_ACCEPTANCE_WAIT: Duration = Duration::from_millis(500);

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
    pub ice_servers: Vec<IceServer>,
    pub ice_transport_policy: IceTransportPolicy,
    pub local_addresses: Vec<IpAddr>,
}

#[derive(Debug)]
pub(crate) enum ConnectionEvent {
    State(ConnectionState),
    /// Empty: end-of-candidates.
    LocalCandidate(Candidate),
    ChannelOpen,
    ChannelMessage(Bytes),
    ChannelClosed,
    /// The peer opened a channel of its own, which this version has no use for.
    ForeignChannel,
}

pub(crate) struct Connection {
    engine: Arc<dyn PeerConnection>,
    channel: Arc<dyn DataChannel>,
    callbacks: mpsc::Receiver<ConnectionEvent>,
    foreign_channel: Arc<Notify>,
    channel_open: Arc<AtomicBool>,
    on_loopback: bool,
    channel_closed: bool,
    closed: bool,
    local_fragment: Option<String>,
}

impl Connection {
    pub(crate) async fn new(config: &ConnectionConfig) -> Result<Self, EngineError> {
        let (callback_tx, callbacks) = mpsc::channel(EVENTS_MAX);
        let foreign_channel = Arc::<Notify>::default();
        let channel_open = Arc::<AtomicBool>::default();
        let local_addresses = local_addresses(&config.local_addresses);
        let addresses: Vec<_> = local_addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
        let relay_only = config.ice_transport_policy == IceTransportPolicy::Relay;
        let builder = PeerConnectionBuilder::new()
            .with_configuration(configuration(config))
            .with_setting_engine(settings(relay_only, &local_addresses))
            .with_runtime(Arc::new(SettlingRuntime::new(channel_open.clone())))
            .with_handler(Arc::new(Callbacks {
                events: callback_tx,
                foreign_channel: foreign_channel.clone(),
            }))
            .with_udp_addrs(addresses)
            .with_data_channel_send_buffer_limit(SEND_BUFFER_BYTES_MAX);
        let engine = Box::pin(builder.build()).await.map_err(|error| ("cannot open sockets", error))?;
        let engine: Arc<dyn PeerConnection> = Arc::new(engine);
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
            foreign_channel,
            channel_open,
            on_loopback: local_addresses.iter().any(IpAddr::is_loopback),
            channel_closed: false,
            closed: false,
            local_fragment: None,
        })
    }

    /// Creates and sets an offer or an answer.
    pub(crate) async fn describe(&mut self, kind: DescriptionKind) -> Result<String, EngineError> {
        let description = match kind {
            DescriptionKind::Offer => self.engine.create_offer(None).await,
            DescriptionKind::Answer => self.engine.create_answer(None).await,
        };
        let description = description.map_err(|error| ("cannot describe the connection", error))?;
        let sdp = description.sdp.clone();
        self.local_fragment = username_fragments(&sdp).into_iter().next();
        self.engine
            .set_local_description(description)
            .await
            .map_err(|error| ("cannot set the local description", error))?;
        Ok(sdp)
    }

    pub(crate) async fn restart_ice(&self) -> Result<(), EngineError> {
        self.engine.restart_ice().await.map_err(|error| ("cannot restart ICE", error).into())
    }

    pub(crate) async fn rollback(&self) -> Result<(), EngineError> {
        let rollback = RTCSessionDescription::rollback(None).map_err(|error| ("cannot roll back", error))?;
        self.engine.set_local_description(rollback).await.map_err(|error| ("cannot roll back", error).into())
    }

    pub(crate) async fn set_remote(&self, kind: DescriptionKind, sdp: String) -> Result<(), EngineError> {
        let description = match kind {
            DescriptionKind::Offer => RTCSessionDescription::offer(sdp),
            DescriptionKind::Answer => RTCSessionDescription::answer(sdp),
        };
        let description = description.map_err(|error| ("not a session description", error))?;
        self.engine
            .set_remote_description(description)
            .await
            .map_err(|error| ("cannot set the remote description", error).into())
    }

    pub(crate) async fn add_candidate(&self, candidate: Candidate) -> Result<(), EngineError> {
        candidate_gate::check(&candidate.candidate, self.on_loopback)
            .map_err(|unfit| ("an unfit candidate", unfit))?;
        let init = RTCIceCandidateInit {
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_mline_index: candidate.sdp_m_line_index.and_then(|index| u16::try_from(index).ok()),
            username_fragment: candidate.username_fragment,
            url: None,
        };
        self.engine.add_ice_candidate(init).await.map_err(|error| ("cannot add the candidate", error).into())
    }

    /// The next thing the engine tells, with what came over the channel only if `read_channel`. Cancel safe.
    /// Never ends: after the channel has closed only states and candidates come.
    pub(crate) async fn next_event(&mut self, read_channel: bool) -> ConnectionEvent {
        loop {
            let event = tokio::select! {
                biased;
                Some(event) = self.callbacks.recv() => match event {
                    ConnectionEvent::LocalCandidate(candidate) => {
                        ConnectionEvent::LocalCandidate(self.complete(candidate))
                    }
                    event => event,
                },
                () = self.foreign_channel.notified() => ConnectionEvent::ForeignChannel,
                event = self.channel.poll(), if read_channel && !self.channel_closed => match event {
                    Some(DataChannelEvent::OnOpen) => {
                        self.channel_open.store(true, Relaxed);
                        ConnectionEvent::ChannelOpen
                    }
                    Some(DataChannelEvent::OnMessage(message)) => {
                        ConnectionEvent::ChannelMessage(message.data.freeze())
                    }
                    Some(DataChannelEvent::OnClose) | None => {
                        self.channel_closed = true;
                        ConnectionEvent::ChannelClosed
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
            ..candidate
        }
    }

    /// The writing end of the chat channel.
    pub(crate) fn channel(&self) -> Channel {
        Channel(self.channel.clone())
    }

    /// The selected candidate pair, once there is one.
    pub(crate) async fn path(&self) -> Option<Path> {
        selected_path(&self.engine.get_stats(Instant::now(), StatsSelector::None).await)
    }

    /// Closes the channel, then the connection: browsers log an abort in the other order. What was sent and
    /// not acknowledged is lost, so say goodbye first.
    pub(crate) async fn close(mut self) {
        self.closed = true;
        close(&*self.channel, &*self.engine).await;
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

/// The addresses to gather host candidates on: those that were chosen, else every interface's but loopback
/// and link-local (RFC 8445 section 5.1.1.1) as they are now, else loopback, so that peers of one host connect
/// without a network.
fn local_addresses(chosen: &[IpAddr]) -> Vec<IpAddr> {
    if !chosen.is_empty() {
        return chosen.to_vec();
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let (loopback, others): (Vec<_>, Vec<_>) = interfaces
        .into_iter()
        .filter(|interface| !interface.is_link_local())
        .map(|interface| interface.ip())
        .partition(IpAddr::is_loopback);
    let mut addresses = if others.is_empty() { loopback } else { others };
    addresses.truncate(LOCAL_ADDRESSES_MAX);
    addresses
}

fn configuration(config: &ConnectionConfig) -> webrtc::peer_connection::RTCConfiguration {
    let ice_servers = config.ice_servers.iter().map(|server| RTCIceServer {
        urls: server.urls.clone(),
        username: server.username.clone(),
        credential: server.credential.clone(),
    });
    let policy = match config.ice_transport_policy {
        IceTransportPolicy::All => RTCIceTransportPolicy::All,
        IceTransportPolicy::Relay => RTCIceTransportPolicy::Relay,
    };
    RTCConfigurationBuilder::new()
        .with_ice_servers(ice_servers.collect())
        .with_ice_transport_policy(policy)
        .build()
}

fn settings(relay_only: bool, local_addresses: &[IpAddr]) -> webrtc::peer_connection::SettingEngine {
    // Under a relay-only policy there is no better pair to wait for.
    let relay_wait = if relay_only { Duration::ZERO } else { RELAY_ACCEPTANCE_WAIT };
    SettingEngineBuilder::new()
        .with_ice_timeouts(
            Some(ICE_DISCONNECTED_TIMEOUT),
            Some(ICE_FAILED_TIMEOUT),
            Some(ICE_KEEPALIVE_INTERVAL),
        )
        .with_ice_connection_attempts(Some(ICE_CHECK_INTERVAL), Some(ICE_CHECKS_MAX))
        .with_host_acceptance_min_wait(Some(Duration::ZERO))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(SRFLX_ACCEPTANCE_WAIT))
        .with_relay_acceptance_min_wait(Some(relay_wait))
        .with_include_loopback_candidate(local_addresses.iter().any(IpAddr::is_loopback))
        .build()
}

struct Callbacks {
    events: mpsc::Sender<ConnectionEvent>,
    foreign_channel: Arc<Notify>,
}

impl Callbacks {
    fn push(&self, event: ConnectionEvent) {
        if self.events.try_send(event).is_err() {
            tracing::debug!("an event of the engine came too late or did not fit");
        }
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Callbacks {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        match event.candidate.to_json() {
            Ok(init) => self.push(ConnectionEvent::LocalCandidate(Candidate {
                candidate: init.candidate,
                ..Candidate::default()
            })),
            Err(error) => tracing::debug!(%error, "a local candidate has no text"),
        }
    }

    async fn on_data_channel(&self, _channel: Arc<dyn DataChannel>) {
        // The engine buffers for channels that nobody reads, without a limit on their number.
        self.foreign_channel.notify_one();
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.push(ConnectionEvent::LocalCandidate(Candidate::default()));
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.push(ConnectionEvent::State(match state {
            RTCPeerConnectionState::Connecting => ConnectionState::Connecting,
            RTCPeerConnectionState::Connected => ConnectionState::Connected,
            RTCPeerConnectionState::Disconnected => ConnectionState::Disconnected,
            RTCPeerConnectionState::Failed => ConnectionState::Failed,
            RTCPeerConnectionState::Closed => ConnectionState::Closed,
            _ => ConnectionState::New,
        }));
    }
}

#[cfg(test)]
mod tests;
