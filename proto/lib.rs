//! The contract: generated messages, clients and servers of package `patchcord.v1`, its descriptors for
//! reflection, and the sizes that both ends keep. Nothing here decides anything.

/// Package `patchcord.v1`: signaling, rooms and chat.
#[allow(missing_docs, clippy::all, reason = "generated; the comments are in the .proto files")]
pub mod v1 {
    tonic::include_proto!("patchcord.v1");
}

/// The encoded `google.protobuf.FileDescriptorSet` of the contract, for gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/patchcord.v1.bin"));

/// Default sizes in bytes; a server tells the ones in force in `SignalResponse.Joined.limits`.
pub mod limits {
    /// A room name.
    pub const ROOM_NAME_BYTES_MAX: usize = 128;
    /// A display name.
    pub const DISPLAY_NAME_BYTES_MAX: usize = 64;
    /// Program and version of a peer.
    pub const USER_AGENT_BYTES_MAX: usize = 128;
    /// An access token.
    pub const ACCESS_TOKEN_BYTES_MAX: usize = 8 * 1024;
    /// A session description.
    pub const SDP_BYTES_MAX: usize = 16 * 1024;
    /// The candidate attribute of a candidate.
    pub const CANDIDATE_BYTES_MAX: usize = 1024;
    /// The media identification tag of a candidate.
    pub const SDP_MID_BYTES_MAX: usize = 64;
    /// The username fragment of a candidate (RFC 8839 section 5.4 allows 256).
    pub const USERNAME_FRAGMENT_BYTES_MAX: usize = 256;
    /// A sealed payload: a padded session description with its authentication tag fits.
    pub const SEALED_BYTES_MAX: usize = 20 * 1024;
    /// A whole `SignalRequest`; what gRPC decodes at most.
    pub const SIGNAL_REQUEST_BYTES_MAX: usize = 64 * 1024;
    /// A whole `SignalResponse`; what a peer decodes at most (a full roster is the largest).
    pub const SIGNAL_RESPONSE_BYTES_MAX: usize = 256 * 1024;
    /// A `ChatFrame`, encoded: what every WebRTC stack carries in one message.
    pub const CHAT_FRAME_BYTES_MAX: usize = 16 * 1024;
    /// The text of a `ChatText`.
    pub const CHAT_TEXT_BYTES_MAX: usize = 15 * 1024;
}
