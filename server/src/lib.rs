//! The switchboard: WebRTC signaling over one bidirectional gRPC stream a peer.
