//! The signed form of a token: JWS compact serialization (RFC 7515 section 7.1). The header only says which key to
//! try; how is the key's to say, and nothing else that the header may hold is looked at.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use patchcord_proto::limits::ACCESS_TOKEN_BYTES_MAX;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use serde_json::Value;

use super::{
    denied::Denied,
    jwk::{Jwk, KeySet, is_key_id},
};

/// Signatures of our algorithms have 32 or 64 bytes; what is longer is not worth decoding.
const SIGNATURE_CHARS_MAX: usize = 128;

/// A key without its private half cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key is the public half of one, which cannot sign")]
pub struct NotSigned;

/// What a key has signed.
pub struct Signed {
    /// Which key.
    pub key_id: String,
    /// What.
    pub payload: Vec<u8>,
}

/// RFC 7515 section 4.1. Twice the same member is refused by serde.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    /// What must be understood (section 4.1.11). We understand nothing of the kind.
    crit: Option<IgnoredAny>,
}

#[derive(Serialize)]
struct HeaderOut<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// What is signed, once its signature is found to be that of one of the keys.
pub fn verify(token: &str, keys: &KeySet) -> Result<Signed, Denied> {
    if token.len() > ACCESS_TOKEN_BYTES_MAX {
        return Err(Denied::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Denied::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Denied::Malformed)?;
    let header: Header = object(&decode(header)?)?;
    if header.crit.is_some() || !is_key_id(&header.kid) {
        return Err(Denied::Malformed);
    }
    let key = keys.get(&header.kid).ok_or(Denied::UnknownKey)?;
    if signature.len() > SIGNATURE_CHARS_MAX || !key.algorithm().has_name(&header.alg) {
        return Err(Denied::Signature);
    }
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| Denied::Signature)?;
    if !key.verify(signed.as_bytes(), &signature) {
        return Err(Denied::Signature);
    }
    Ok(Signed { payload: decode(payload)?, key_id: header.kid })
}

/// A token of these claims.
pub fn sign(key: &Jwk, claims: &impl Serialize) -> Result<String, NotSigned> {
    let header = HeaderOut { alg: key.algorithm().as_str(), typ: "JWT", kid: key.id() };
    let (header, claims) = (encode(&header), encode(claims));
    let signed = format!("{header}.{claims}");
    let signature = key.sign(signed.as_bytes()).ok_or(NotSigned)?;
    Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

/// Reads a JSON object, all of which any other parser would read too: serde looks into no string that it skips, and would
/// take a list of the same values.
pub fn object<T: DeserializeOwned>(text: &[u8]) -> Result<T, Denied> {
    let any: Value = serde_json::from_slice(text).map_err(|_| Denied::Malformed)?;
    if !any.is_object() {
        return Err(Denied::Malformed);
    }
    serde_json::from_slice(text).map_err(|_| Denied::Malformed)
}

fn decode(part: &str) -> Result<Vec<u8>, Denied> {
    BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Denied::Malformed)
}

fn encode(part: &impl Serialize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(part).expect("strings and numbers are JSON"))
}
