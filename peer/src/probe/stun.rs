//! STUN and TURN messages (RFC 8489, RFC 8656): requests made, responses understood. Pure but for the random
//! transaction ids.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rtc_crypto::RTCCryptoProvider;
use rtc_stun::{
    addr::MappedAddress,
    attributes::{
        ATTR_CHANGE_REQUEST, ATTR_LIFETIME, ATTR_NONCE, ATTR_OTHER_ADDRESS, ATTR_REALM,
        ATTR_REQUESTED_TRANSPORT, ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS, ATTR_XOR_RELAYED_ADDRESS,
        ATTR_XORMAPPED_ADDRESS, AttrType,
    },
    error_code::ErrorCodeAttribute,
    integrity::MessageIntegrity,
    message::{
        CLASS_ERROR_RESPONSE, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, Getter, METHOD_ALLOCATE, METHOD_BINDING,
        METHOD_CREATE_PERMISSION, METHOD_REFRESH, Message, MessageType, Method, Setter,
    },
    xoraddr::XorMappedAddress,
};

use super::Trouble;
use crate::endpoint::printable;

/// The protocol number of UDP, which is what is relayed (RFC 8656 section 18.8).
const REQUESTED_TRANSPORT_UDP: [u8; 4] = [17, 0, 0, 0];

/// From another address and another port (RFC 5780 section 7.2).
const CHANGE_BOTH: [u8; 4] = [0, 0, 0, 6];

/// A long-term credential with what the server wants beside it (RFC 8489 section 9.2).
#[derive(Clone)]
pub(super) struct Credential {
    pub username: String,
    pub realm: String,
    pub nonce: String,
    pub password: String,
    pub crypto: Arc<dyn RTCCryptoProvider>,
}

pub(super) fn binding() -> Message {
    request(METHOD_BINDING)
}

pub(super) fn binding_answered_from_elsewhere() -> Message {
    let mut message = binding();
    message.add(ATTR_CHANGE_REQUEST, &CHANGE_BOTH);
    message
}

pub(super) fn allocate() -> Message {
    let mut message = request(METHOD_ALLOCATE);
    message.add(ATTR_REQUESTED_TRANSPORT, &REQUESTED_TRANSPORT_UDP);
    message
}

pub(super) fn create_permission(peer: SocketAddr) -> Option<Message> {
    let mut message = request(METHOD_CREATE_PERMISSION);
    let address = XorMappedAddress { ip: peer.ip(), port: peer.port() };
    address.add_to_as(&mut message, ATTR_XOR_PEER_ADDRESS).ok()?;
    Some(message)
}

/// Ends an allocation (RFC 8656 section 8).
pub(super) fn deallocate() -> Message {
    let mut message = request(METHOD_REFRESH);
    message.add(ATTR_LIFETIME, &0_u32.to_be_bytes());
    message
}

fn request(method: Method) -> Message {
    let mut message = Message::new();
    message.set_type(MessageType::new(method, CLASS_REQUEST));
    message.write_header();
    // It fails for no id, and an id of zeros would still be one.
    let _ = message.new_transaction_id();
    message
}

impl Credential {
    /// Appends who asks, and the proof of it.
    pub(super) fn sign(&self, mut message: Message) -> Option<Message> {
        message.add(ATTR_USERNAME, self.username.as_bytes());
        message.add(ATTR_REALM, self.realm.as_bytes());
        message.add(ATTR_NONCE, self.nonce.as_bytes());
        let integrity = MessageIntegrity::new_long_term_integrity_with_provider(
            self.username.clone(),
            self.realm.clone(),
            self.password.clone(),
            self.crypto.crypto(),
        );
        integrity.ok()?.add_to(&mut message).ok()?;
        Some(message)
    }
}

/// A message of a server, if that is what `bytes` are.
pub(super) fn decode(bytes: &[u8]) -> Option<Message> {
    let mut message = Message::new();
    message.unmarshal_binary(bytes).ok()?;
    matches!(message.typ.class, CLASS_SUCCESS_RESPONSE | CLASS_ERROR_RESPONSE).then_some(message)
}

/// What an error response says; none for a success.
pub(super) fn error(response: &Message) -> Option<Trouble> {
    if response.typ.class == CLASS_SUCCESS_RESPONSE {
        return None;
    }
    let mut error = ErrorCodeAttribute::default();
    // Without its code it is an error all the same.
    let _ = error.get_from(response);
    let reason = printable(&String::from_utf8_lossy(&error.reason));
    Some(Trouble::ErrorResponse { code: error.code.0, reason })
}

pub(super) fn mapped_address(response: &Message) -> Option<SocketAddr> {
    xor_address(response, ATTR_XORMAPPED_ADDRESS)
}

pub(super) fn relayed_address(response: &Message) -> Option<SocketAddr> {
    xor_address(response, ATTR_XOR_RELAYED_ADDRESS)
}

fn xor_address(response: &Message, attribute: AttrType) -> Option<SocketAddr> {
    let mut address = XorMappedAddress::default();
    address.get_from_as(response, attribute).ok()?;
    Some(SocketAddr::new(address.ip, address.port))
}

/// Where else this server answers (RFC 5780 section 7.4).
pub(super) fn other_address(response: &Message) -> Option<SocketAddr> {
    let mut address = MappedAddress::default();
    address.get_from_as(response, ATTR_OTHER_ADDRESS).ok()?;
    Some(SocketAddr::new(address.ip, address.port))
}

pub(super) fn lifetime(response: &Message) -> Option<Duration> {
    let seconds = response.get(ATTR_LIFETIME).ok()?;
    Some(Duration::from_secs(u32::from_be_bytes(*seconds.first_chunk()?).into()))
}

/// What a challenge wants a proof for: realm and nonce.
pub(super) fn challenge(response: &Message) -> Option<(String, String)> {
    let text = |attribute| response.get(attribute).ok().and_then(|text| String::from_utf8(text).ok());
    Some((text(ATTR_REALM)?, text(ATTR_NONCE)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc_stun::message::TransactionId;

    use super::*;

    /// RFC 5769 section 2.2, a sample of a response over IPv4 without its integrity and fingerprint.
    const SAMPLE: [u8; 48] = [
        0x01, 0x01, 0x00, 0x1c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa,
        0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f,
        0x72, 0x20, 0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43,
    ];

    #[test]
    fn the_sample_of_the_standard_is_understood() {
        let response = decode(&SAMPLE).unwrap();
        assert_eq!(mapped_address(&response), Some("192.0.2.1:32853".parse().unwrap()));
        assert_eq!((error(&response), relayed_address(&response), challenge(&response)), (None, None, None));
    }

    #[test]
    fn requests_differ_by_their_ids() {
        let ids: Vec<TransactionId> = (0..3).map(|_| binding().transaction_id).collect();
        assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != TransactionId::default());
    }

    proptest! {
        #[test]
        fn whatever_a_server_sends_is_understood_or_not(
            is_error in any::<bool>(),
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut bytes = vec![1, if is_error { 0x11 } else { 1 }, 0, 0, 0x21, 0x12, 0xa4, 0x42];
            bytes[3] = u8::try_from(body.len()).unwrap();
            bytes.extend([7; 12]);
            bytes.extend(body);
            if let Some(response) = decode(&bytes) {
                prop_assert_eq!(error(&response).is_some(), is_error);
                let _ = (mapped_address(&response), relayed_address(&response), other_address(&response));
                let _ = (lifetime(&response), challenge(&response));
            }
        }
    }
}
