//! STUN messages and ChannelData on a stream, which has no datagrams of its own. Pure.

use std::io;

use bytes::{Buf, Bytes, BytesMut};

/// RFC 8489 section 5: type, length, magic cookie, transaction id; the length is without them.
const STUN_HEADER_BYTES: usize = 20;

/// RFC 8656 section 12.4: channel number and length; the length is without them.
const CHANNEL_HEADER_BYTES: usize = 4;

/// The length of what begins with these bytes, and how much of a stream it takes up.
fn lengths(header: [u8; 4]) -> Option<(usize, usize)> {
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    match header[0] >> 6 {
        0 => Some((STUN_HEADER_BYTES + length, STUN_HEADER_BYTES + length)),
        // Over a stream it is padded to four bytes, and the length does not say so.
        1 => Some((CHANNEL_HEADER_BYTES + length, (CHANNEL_HEADER_BYTES + length).next_multiple_of(4))),
        _ => None,
    }
}

/// A datagram as it goes on a stream; none for what is neither STUN nor ChannelData.
pub(super) fn frame(datagram: &[u8]) -> Option<Bytes> {
    let (length, framed) = lengths(*datagram.first_chunk()?)?;
    let mut bytes = BytesMut::from(datagram.get(..length)?);
    bytes.resize(framed, 0);
    Some(bytes.freeze())
}

/// The next whole datagram of a stream.
pub(super) fn next_datagram(stream: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(header) = stream.first_chunk() else { return Ok(None) };
    let Some((length, framed)) = lengths(*header) else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "neither STUN nor ChannelData"));
    };
    if stream.len() < framed {
        return Ok(None);
    }
    let datagram = stream.split_to(length).freeze();
    stream.advance(framed - length);
    Ok(Some(datagram))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stun(words: usize) -> Vec<u8> {
        let mut message = vec![7; STUN_HEADER_BYTES + 4 * words];
        message[..2].copy_from_slice(&[0, 3]);
        message[2..4].copy_from_slice(&u16::try_from(4 * words).expect("small").to_be_bytes());
        message
    }

    fn channel_data(bytes: usize) -> Vec<u8> {
        let mut message = vec![9; CHANNEL_HEADER_BYTES + bytes];
        message[..2].copy_from_slice(&[0x40, 1]);
        message[2..4].copy_from_slice(&u16::try_from(bytes).expect("small").to_be_bytes());
        message
    }

    #[test]
    fn channel_data_is_padded_and_nothing_else_is() {
        assert_eq!(frame(&channel_data(5)).expect("it is").len(), 12);
        assert_eq!(frame(&channel_data(8)).expect("it is").len(), 12);
        assert_eq!(frame(&stun(3)).expect("it is"), stun(3));
        for other in [&[22, 254, 253, 0][..], &[128; 12], &[0; 3], &stun(2)[..24]] {
            assert_eq!(frame(other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_framed_comes_out_whole_however_the_stream_is_cut(
            kinds in proptest::collection::vec((any::<bool>(), 0usize..300), 1..20),
            cuts in proptest::collection::vec(1usize..200, 1..60),
        ) {
            let sent: Vec<_> = kinds.iter().map(|(data, size)| if *data { channel_data(*size) } else { stun(*size) }).collect();
            let wire: Vec<u8> = sent.iter().flat_map(|datagram| frame(datagram).expect("ours")).collect();
            let (mut stream, mut got, mut rest) = (BytesMut::new(), Vec::new(), &wire[..]);
            for cut in cuts.into_iter().cycle() {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                stream.extend_from_slice(now);
                while let Some(datagram) = next_datagram(&mut stream).expect("well framed") {
                    got.push(datagram.to_vec());
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = frame(&bytes);
            let mut stream = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = next_datagram(&mut stream) {}
        }
    }
}
