//! What the engine calls back with, on its own task.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use webrtc::{
    data_channel::DataChannel,
    peer_connection::{
        PeerConnectionEventHandler, RTCIceConnectionState, RTCIceGatheringState, RTCPeerConnectionIceEvent,
        RTCPeerConnectionState,
    },
};

use super::ConnectionEvent;
use crate::{ConnectionState, negotiation::Candidate};

pub(super) struct Callbacks {
    pub events: mpsc::Sender<ConnectionEvent>,
    pub foreign_channel: Arc<Notify>,
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

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        if state == RTCIceConnectionState::Connected {
            self.push(ConnectionEvent::PairSelected);
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
