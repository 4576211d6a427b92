//! Bytes that are encoded already, as gRPC messages; and buffers that cost an idle stream nothing.

use patchcord_proto::v1::{SignalRequest, SignalResponse};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, EncodeBuf, Encoder},
};
use tonic_prost::{ProstCodec, ProstDecoder};

use crate::frame::Outgoing;

/// tonic allocates this much for each direction of each stream at once, and grows it as needed.
const BUFFER_BYTES: usize = 0;
/// What is handed to the transport at a time, if so much waits.
const YIELD_BYTES: usize = 16 * 1024;

/// Frames out, requests in.
pub struct FrameCodec;

/// Frames out.
pub struct FrameEncoder;

impl Codec for FrameCodec {
    type Encode = Outgoing;
    type Decode = SignalRequest;
    type Encoder = FrameEncoder;
    type Decoder = ProstDecoder<SignalRequest>;

    fn encoder(&mut self) -> FrameEncoder {
        FrameEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<SignalResponse, SignalRequest>::raw_decoder(buffer_settings())
    }
}

impl Encoder for FrameEncoder {
    type Item = Outgoing;
    type Error = Status;

    fn encode(&mut self, outgoing: Outgoing, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(outgoing.encoded_len());
        outgoing.encode(buffer);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        buffer_settings()
    }
}

fn buffer_settings() -> BufferSettings {
    BufferSettings::new(BUFFER_BYTES, YIELD_BYTES)
}
